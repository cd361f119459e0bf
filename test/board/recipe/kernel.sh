#!/bin/bash
# Builds the emulated board's kernel from Debian's source package (Debian's own armhf kernel does not boot on Zynq).
# usage: kernel.sh OUT_DIR     leaves OUT_DIR/zImage and OUT_DIR/pynq-z1.dtb
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"

apt-get download linux-source-6.1
dpkg -x linux-source-6.1_*_all.deb package
tar xf package/usr/src/linux-source-6.1.tar.xz
source=$PWD/linux-source-6.1

cp "$recipe/fpga-manager-sysfs.inc" "$source/drivers/fpga/"
sed -i -e '/^static struct attribute \*fpga_mgr_attrs\[\]/{
  i #include "fpga-manager-sysfs.inc"
  a \	\&dev_attr_flags.attr,\n\t\&dev_attr_firmware.attr,
}' "$source/drivers/fpga/fpga-mgr.c"
grep -q dev_attr_firmware "$source/drivers/fpga/fpga-mgr.c"

export ARCH=arm CROSS_COMPILE=arm-linux-gnueabihf-
make -s -C "$source" O="$PWD/objects" KCONFIG_ALLCONFIG="$recipe/kernel.config" allnoconfig
make -s -C "$source" O="$PWD/objects" -j"$(nproc)" zImage
cp objects/arch/arm/boot/zImage .

cpp -nostdinc -undef -x assembler-with-cpp -I "$source/arch/arm/boot/dts" -I "$source/include" "$recipe/pynq-z1.dts" |
  dtc -q -I dts -O dtb -o pynq-z1.dtb -
rm -rf package objects linux-source-6.1 linux-source-6.1_*_all.deb
