"""The microscope: what a network sees in pictures, and which small things decide what it says.

It knows networks, taps and tensors. Which pictures are looked at, and what is made of the answers, is others' work.
"""
