"""Published models restated plainly, as public code writes them, to time and test ours against."""
