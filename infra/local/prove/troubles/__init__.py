"""The troubles that a scenario may have, one kind a file.

各种麻烦，每种一个文件。
"""
