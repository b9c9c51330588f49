"""One word, one habit each: run, test, check and the like.

日常使用的脚本。
"""
