"""How the functions and layers of template.yaml are packed; this folder is where SAM runs make.

打包函数与依赖层。
"""
