"""Tencent Cloud's API as far as Maquette needs it, on this machine: functions and secrets.

在本机模拟腾讯云的接口。
"""
