import { quote } from '../ssh/index.js';
import { DESIGN_FOLDER } from './layout.js';
import { agentCommand, makeTokens, type ServiceManager, type ServiceOptions } from './service-manager.js';

const USER = 'pynq-llm';
const UNIT = 'pynq-llm.service';
const UNIT_FILE = `/etc/systemd/system/${UNIT}`;
/** Programs the FPGA, as root; there only where the release has a bitstream. */
const FPGA_UNIT = 'pynq-llm-fpga.service';
const FPGA_UNIT_FILE = `/etc/systemd/system/${FPGA_UNIT}`;
const RULES = '70-pynq-llm.rules';
const RULES_FILE = `/etc/udev/rules.d/${RULES}`;

/** A unit of systemd with a user of its own: what boards' images have. */
export const systemd: ServiceManager = {
  name: 'systemd',
  needsRoot: true,
  programsFpga: true,
  tools: ['systemctl', 'systemd-run', 'useradd'],
  functions: () => `put() { cmp -s "$1" "$2" || { cp "$1" "$2.new" && mv "$2.new" "$2" && [ "$3" ] && $3; }; }
reload_rules() {
  udevadm control --reload || true
  udevadm trigger --subsystem-match=uio --subsystem-match=u-dma-buf --subsystem-match=dma_heap --subsystem-match=mem || true
}
start_agent() {
  [ ! -d /etc/udev/rules.d ] || put current/system/${RULES} ${RULES_FILE} reload_rules
  if [ -f current/system/${FPGA_UNIT} ]; then put current/system/${FPGA_UNIT} ${FPGA_UNIT_FILE} 'systemctl daemon-reload'
  else rm -f ${FPGA_UNIT_FILE}; fi
  put current/system/${UNIT} ${UNIT_FILE} 'systemctl daemon-reload'
  systemctl enable --quiet ${UNIT}
  systemctl reset-failed ${UNIT} 2>/dev/null || true
  systemctl restart --no-block ${UNIT}
}
stop_agent() { systemctl stop ${UNIT} 2>/dev/null || true; }
agent_pid() { systemctl show --property=MainPID --value ${UNIT} 2>/dev/null || true; }
later() {
  seconds=$1; shift
  systemd-run --quiet --collect --on-active="\${seconds}s" --timer-property=AccuracySec=1s "$@"
}
remove_service() {
  systemctl disable --quiet --now ${UNIT} 2>/dev/null || true
  rm -f ${UNIT_FILE} ${FPGA_UNIT_FILE} ${RULES_FILE}
  systemctl daemon-reload
}`,
  prepare: (layout) => `id ${USER} >/dev/null 2>&1 ||
  useradd --system --user-group --home-dir ${quote(layout.state)} --no-create-home --shell /usr/sbin/nologin ${USER}
for group in render video; do
  ! getent group $group >/dev/null || usermod -aG $group ${USER}
done
install -d -m 755 ${quote(layout.config)}
install -d -m 700 -o ${USER} -g ${USER} ${quote(layout.state)}
${makeTokens(layout, `${USER}:${USER}`)}`,
  files: (options) => ({
    [`system/${UNIT}`]: unit(options),
    [`system/${RULES}`]: rules(options),
    ...(options.programsFpga && { [`system/${FPGA_UNIT}`]: fpgaUnit(options) }),
  }),
};

/** systemd.exec(5) and systemd.service(5). */
function unit(options: ServiceOptions): string {
  const { layout, loginUid, allowDevMem, programsFpga } = options;
  const script = `/bin/sh ${unitWord(`${layout.base}/current/system/switch.sh`)}`;
  const capabilities = allowDevMem ? 'CAP_SYS_RAWIO' : '';
  return `# Written by \`pynq-llm deploy\`, and again by the next. Flags of your own: PYNQ_LLM_AGENT_FLAGS=… in ${layout.config}/agent.env.
[Unit]
Description=pynq-llm agent
After=network.target${programsFpga ? ` ${FPGA_UNIT}\nRequires=${FPGA_UNIT}` : ''}
# Whatever ends the agent, and however often: it is started again. A new release that does not stay is undone by \`deploy\`.
StartLimitIntervalSec=0

[Service]
User=${USER}
Group=${USER}
EnvironmentFile=-${layout.config}/agent.env
RuntimeDirectory=pynq-llm
StateDirectory=pynq-llm
StateDirectoryMode=0700
UMask=0077
# A release that was never confirmed does not survive a reboot.
ExecStartPre=+${script} recover
ExecStart=${agentCommand(options, unitWord)} $PYNQ_LLM_AGENT_FLAGS
# Only who deployed, and members of the group, reach the agent.
ExecStartPost=-+${script} open ${loginUid}:${USER}
TimeoutStartSec=180
TimeoutStopSec=20
Restart=on-failure
RestartSec=5
# systemd-notify, a child of the agent, says that it is alive.
WatchdogSec=120
NotifyAccess=all

NoNewPrivileges=yes
CapabilityBoundingSet=${capabilities}
AmbientCapabilities=${capabilities}
ProtectSystem=strict
# What ProtectSystem= leaves open to everybody.
ReadOnlyPaths=-/dev/shm -/dev/mqueue -/run/lock
ProtectHome=yes
PrivateTmp=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
# The accelerator's registers, DMA memory and interrupts; nothing else of /dev.
DevicePolicy=closed
DeviceAllow=char-uio rw
DeviceAllow=char-u-dma-buf rw
DeviceAllow=char-udmabuf rw
DeviceAllow=char-dma_heap rw
DeviceAllow=char-drm rw
${allowDevMem ? 'DeviceAllow=/dev/mem rw\n' : ''}
[Install]
WantedBy=multi-user.target
`;
}

/** Not in the agent's own unit: what may program the FPGA may do anything. It runs before every start of the agent. */
function fpgaUnit({ layout }: ServiceOptions): string {
  const current = `${layout.base}/current`;
  const words = [`${current}/bin/node`, `${current}/agent/start-logic.js`, `${current}/${DESIGN_FOLDER}`];
  return `# Written by \`pynq-llm deploy\`, and again by the next.
[Unit]
Description=pynq-llm: program the FPGA
# The agent needs it before each of its starts.
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=${words.map(unitWord).join(' ')}
TimeoutStartSec=120
NoNewPrivileges=yes
PrivateNetwork=yes
PrivateTmp=yes
ProtectHome=yes
`;
}

function rules({ allowDevMem }: ServiceOptions): string {
  const access = `GROUP="${USER}", MODE="0660"`;
  return `# Written by \`pynq-llm deploy\`: the agent's user reaches the accelerator without root.
SUBSYSTEM=="uio", ${access}
SUBSYSTEM=="u-dma-buf", ${access}, RUN+="/bin/sh -c 'chgrp ${USER} /sys%p/sync_* && chmod g+w /sys%p/sync_*'"
SUBSYSTEM=="dma_heap", ${access}
${allowDevMem ? `SUBSYSTEM=="mem", KERNEL=="mem", ${access}\n` : ''}`;
}

/**
 * A word of a command in a unit, as systemd.syntax(7) and "COMMAND LINES" of systemd.service(5) have it: % and $ stand
 * for something, blanks separate words, a lone ; commands, and a line break would begin another line of the unit.
 */
function unitWord(word: string): string {
  const escaped = word
    .replace(/[\\"]/g, '\\$&')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')
    .replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return /^[\w@%+=:,./?&$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
