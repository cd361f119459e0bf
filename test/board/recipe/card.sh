#!/bin/bash
# Builds the emulated board's SD card from Debian 12 packages: systemd, OpenSSH and the user xilinx, no Node, as PYNQ's
# own images. Needs root: foreign binaries run through binfmt_misc.
# usage: card.sh OUT_DIR     leaves OUT_DIR/sd.img
set -euo pipefail
mkdir -p "$1" && cd "$1"

binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
[ -e $binfmt/qemu-arm ] || cat /usr/lib/binfmt.d/qemu-arm.conf >$binfmt/register

# This machine's own mirror, main suite only: a mirror in the middle of an update would stop the build.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
mmdebstrap --quiet --mode=root --architectures=armhf --variant=minbase \
  --include=systemd,systemd-sysv,udev,dbus,openssh-server,sudo,procps,kmod,iproute2,iputils-ping,netbase \
  --include=ca-certificates,libstdc++6,libatomic1 \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' bookworm root "$mirror"

echo pynq >root/etc/hostname
echo '127.0.0.1 localhost pynq' >root/etc/hosts
echo '/dev/mmcblk0 / ext4 defaults,noatime 0 1' >root/etc/fstab
: >root/etc/machine-id
printf '[Match]\nName=eth* end*\n[Network]\nDHCP=yes\nIPv6AcceptRA=no\n' >root/etc/systemd/network/10-eth.network
printf 'UseDNS no\nPermitRootLogin no\n' >root/etc/ssh/sshd_config.d/board.conf
chroot root useradd --create-home --shell /bin/bash --groups sudo xilinx
echo 'xilinx:xilinx' | chroot root chpasswd
chroot root systemctl --quiet enable systemd-networkd
chroot root systemctl --quiet mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer

# A power of two, as QEMU's SD card wants it.
truncate -s 2G sd.img
mke2fs -q -t ext4 -O ^metadata_csum,^64bit -L rootfs -d root sd.img
rm -rf root
