"""How the functions are packed for SCF: what lies in a zip's root, and which packages go along.

打包 SCF 函数。
"""
