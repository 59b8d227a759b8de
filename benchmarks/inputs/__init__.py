"""What commands take: checked arguments, tables and their splits, generators and policies by name.

`places` says where configurations, results and trained agents lie.
"""
