"""The HTTP function: accepts jobs, answers about them.

对外提供 HTTP 接口的函数。
"""

from functions.api import lean

lean.load()
