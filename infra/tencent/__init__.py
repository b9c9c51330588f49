"""Tencent Cloud: what is deployed there, how, and the cloud emulated on this machine.

腾讯云相关的打包、部署与本机模拟。
"""
