"""Measurements, one part of the house each: `python -m scripts.bench.NAME`.

性能测量脚本。
"""
