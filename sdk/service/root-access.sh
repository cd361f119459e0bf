#!/bin/sh
# How this user gets root's rights without a password: "root", "sudo" or nothing.
if [ "$(id -u)" = 0 ]; then echo root; elif sudo -n true; then echo sudo; fi
