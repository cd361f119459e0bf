# shellcheck shell=sh
# The agent as a unit of systemd, for switch.sh.
unit=pynq-llm.service
# Programs the FPGA, as root; there only where the release has a bitstream.
fpga_unit=pynq-llm-fpga.service
rules=70-pynq-llm.rules
units=/etc/systemd/system
rules_file=/etc/udev/rules.d/$rules

# put FILE PLACE FUNCTION: calls the function where the file was not there as it is.
put() { cmp -s "$1" "$2" || { cp "$1" "$2.new" && mv "$2.new" "$2" && "$3"; }; }
reload_units() { systemctl daemon-reload; }
reload_rules() {
  udevadm control --reload || true
  udevadm trigger --subsystem-match=uio --subsystem-match=u-dma-buf --subsystem-match=misc --subsystem-match=dma_heap --subsystem-match=mem || true
}
start_agent() {
  [ ! -d /etc/udev/rules.d ] || put "current/system/$rules" "$rules_file" reload_rules
  if [ -f "current/system/$fpga_unit" ]; then put "current/system/$fpga_unit" "$units/$fpga_unit" reload_units
  else rm -f "$units/$fpga_unit"; fi
  put "current/system/$unit" "$units/$unit" reload_units
  systemctl enable --quiet "$unit"
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl restart --no-block "$unit"
}
stop_agent() { systemctl stop "$unit" 2>/dev/null || true; }
agent_pid() { systemctl show --property=MainPID --value "$unit" 2>/dev/null || true; }
as_agent() { runuser -u pynq-llm -- "$@"; }
later() {
  seconds=$1; shift
  systemd-run --quiet --collect --on-active="${seconds}s" --timer-property=AccuracySec=1s "$@"
}
remove_service() {
  systemctl disable --quiet --now "$unit" 2>/dev/null || true
  rm -f "$units/$unit" "$units/$fpga_unit" "$rules_file"
  systemctl daemon-reload
}
