import { type CheckedRequest, fingerprintOf, type ProvisionResult } from './request.js';

/** A command on the board, and how its output is read. */
export interface BoardCommand {
  /** For people: what it is for. */
  readonly purpose: string;
  readonly line: string;
  /** Whether it asks for the password. */
  readonly sudo?: boolean;
  /**
   * @param lines what it printed, without messages of the kernel
   * @returns `again` if that is damaged by a message in between, or not there yet: the command is sent once more
   */
  accept(lines: readonly string[], status: number): 'done' | 'again' | 'failed';
}

/** What the commands find out, filled as they run. */
export interface Findings {
  user?: string;
  facts?: Pick<ProvisionResult, 'hostName' | 'machine' | 'kernel'>;
  keyWasThere?: boolean;
  hostKeys: ProvisionResult['hostKeys'];
  addresses: ProvisionResult['addresses'];
}

/** What sudo asks with. It is split in the command line, so the echo of the command is not taken for the question. */
export const SUDO_PROMPT = 'PL-PASS:';
const SUDO = "sudo -p 'PL-PA''SS:'";

/** All commands for a request, in order. Every value in them was checked by `checkRequest`. */
export function boardCommands(request: CheckedRequest, findings: Findings): BoardCommand[] {
  const root = (script: string) =>
    request.user === 'root' ? `sh -c '${script}'` : `${SUDO} sh -c '${script}'`;
  const succeeded: BoardCommand['accept'] = (_lines, status) => (status === 0 ? 'done' : 'failed');
  return [
    {
      purpose: 'look who is logged in',
      line: 'id -un; uname -m; uname -r; hostname',
      accept: (lines) => {
        const [user, machine, kernel, hostName] = lines;
        if (lines.length !== 4 || !user || !machine || !kernel || !hostName) return 'again';
        findings.user = user;
        findings.facts = { machine, kernel, hostName };
        return 'done';
      },
    },
    {
      purpose: 'install the SSH key',
      line: installKey(request.publicKey),
      accept: (lines, status) => {
        findings.keyWasThere = lines.includes('present');
        if (status !== 0) return 'failed';
        return findings.keyWasThere || lines.includes('added') ? 'done' : 'again';
      },
    },
    ...(request.hostName === undefined
      ? []
      : [
          {
            purpose: 'set the host name',
            line: root(setHostName(request.hostName)),
            sudo: true,
            accept: succeeded,
          },
        ]),
    ...(request.staticAddress === undefined
      ? []
      : [
          {
            purpose: 'set the static address',
            line: root(setAddress(request.staticAddress)),
            sudo: true,
            accept: succeeded,
          },
        ]),
    {
      purpose: 'read the SSH host keys',
      line: 'cat /etc/ssh/ssh_host_*_key.pub',
      accept: (lines, status) => {
        findings.hostKeys = lines.flatMap(readHostKey);
        // An image may make its host keys later, or have no SSH server at all: deploy will say so.
        return status !== 0 || findings.hostKeys.length > 0 ? 'done' : 'again';
      },
    },
    {
      purpose: 'read the address',
      line: 'ip -j addr',
      accept: (lines) => {
        findings.addresses = readAddresses(lines.join(''));
        return findings.addresses.length > 0 ? 'done' : 'again';
      },
    },
    ...(request.hostName === undefined
      ? []
      : [
          {
            purpose: 'read the host name',
            line: 'hostname',
            accept: (lines: readonly string[]) => {
              if (lines.length !== 1 || !findings.facts) return 'again';
              findings.facts = { ...findings.facts, hostName: lines[0]! };
              return lines[0] === request.hostName ? 'done' : 'failed';
            },
          } satisfies BoardCommand,
        ]),
  ];
}

/** Appends the key unless the file has it; a last line without its end stays a line of its own. */
function installKey(key: string): string {
  const file = '~/.ssh/authorized_keys';
  return [
    '(umask 077; mkdir -p ~/.ssh && touch',
    `${file} && if grep -qxF '${key}' ${file}; then echo present;`,
    `else { [ -z "$(tail -c 1 ${file})" ] || echo >> ${file}; } && echo '${key}' >> ${file} && echo added; fi)`,
  ].join(' ');
}

function setHostName(name: string): string {
  return `echo ${name} > /etc/hostname && hostname ${name} && { grep -qw ${name} /etc/hosts || echo "127.0.1.1 ${name}" >> /etc/hosts; }`;
}

/** Beside DHCP, so that the board can still be reached as before; in force at once and after the next boot. */
function setAddress(address: string): string {
  return [
    'i=$(ls /sys/class/net | grep -E "^(eth|en)" | head -n 1); [ -n "$i" ] || exit 20;',
    'if systemctl is-active --quiet systemd-networkd; then',
    `printf "[Match]\\nName=$i\\n[Network]\\nDHCP=yes\\nAddress=${address}\\n" > /etc/systemd/network/05-pynq-llm.network;`,
    'elif [ -d /etc/network/interfaces.d ]; then',
    `printf "auto $i:9\\niface $i:9 inet static\\n  address ${address}\\n" > /etc/network/interfaces.d/pynq-llm;`,
    'elif [ -d /etc/netplan ]; then umask 077;',
    `printf "network:\\n  version: 2\\n  ethernets:\\n    $i:\\n      dhcp4: true\\n      addresses: [${address}]\\n" > /etc/netplan/90-pynq-llm.yaml;`,
    `else exit 21; fi && ip addr replace ${address} dev "$i"`,
  ].join(' ');
}

function readHostKey(line: string): ProvisionResult['hostKeys'] {
  const [type, key] = line.split(' ');
  if (!type || !key || !/^(ssh|ecdsa|sk)-[a-z0-9@.-]+$/.test(type) || !/^[A-Za-z0-9+/]{40,}={0,2}$/.test(key))
    return [];
  return [{ type, key, fingerprint: fingerprintOf(key) }];
}

/** The addresses in the output of `ip -j addr` that another computer can reach. */
function readAddresses(json: string): ProvisionResult['addresses'] {
  let interfaces: unknown;
  try {
    interfaces = JSON.parse(json);
  } catch {
    // Damaged by a message of the kernel in between: none were read, and the command is sent again.
    return [];
  }
  if (!Array.isArray(interfaces)) return [];
  return interfaces.flatMap((entry: unknown) => {
    if (!isRecord(entry) || typeof entry.ifname !== 'string' || !Array.isArray(entry.addr_info)) return [];
    const name = entry.ifname;
    return entry.addr_info.flatMap((info: unknown) =>
      isRecord(info) &&
      info.scope === 'global' &&
      typeof info.local === 'string' &&
      /^[0-9a-f.:]+$/.test(info.local)
        ? [{ interface: name, address: info.local }]
        : [],
    );
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
