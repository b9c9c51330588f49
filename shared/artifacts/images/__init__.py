"""Pictures: whole or broken, how big, and a small copy.

图片的检查与缩略图。
"""
