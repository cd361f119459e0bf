import type { ErrorEntry } from './entry.js';

/** Errors of sdk/ssh/ (9000 to 9099) and sdk/deploy/ (9100 to 9499). */
export const DEPLOY_ERRORS = {
  SSH_TARGET: {
    number: 9001,
    meaning: 'The name of a board to reach through SSH cannot be read.',
    remedy: 'Give USER@HOST, USER@HOST:PORT or ssh://USER@HOST:PORT.',
  },
  SSH_CONFIG: {
    number: 9002,
    meaning: 'A file of the SSH client (config, known_hosts or a key) cannot be used.',
    remedy: 'Correct the file; `ssh -v` to the same host names the same one.',
  },
  SSH_UNREACHABLE: {
    number: 9003,
    meaning: 'No SSH connection to the board could be made.',
    remedy: 'Check that the board is on, its address, the network, and that its SSH server runs.',
  },
  SSH_HOST_KEY_CHANGED: {
    number: 9004,
    meaning: "The board's host key is not the one that known_hosts has for it.",
    remedy:
      'If the board was set up anew, compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console and remove the old line with `ssh-keygen -R HOST`. Otherwise somebody else answers in its place: do not connect.',
  },
  SSH_HOST_KEY_UNKNOWN: {
    number: 9005,
    meaning: "The board's host key is in no known_hosts file and nobody confirmed it.",
    remedy:
      'Compare the fingerprint with the board\'s own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console), then give it with `--yes --host-key SHA256:…`, or answer "yes" on a terminal.',
  },
  SSH_AUTH_FAILED: {
    number: 9006,
    meaning: 'The board accepted none of the keys and passwords.',
    remedy:
      'Check the user name, load the key into the SSH agent or name it in ~/.ssh/config, or use a password.',
  },
  SSH_CONNECTION_LOST: {
    number: 9007,
    meaning: 'The SSH connection broke.',
    remedy:
      'Check the network and the power of the board, and run the command again: it goes on where it was.',
  },
  SSH_TIMEOUT: {
    number: 9008,
    meaning: 'Something on the other side of an SSH connection took too long.',
    remedy: 'See whether the board is overloaded or its storage broken, then run the command again.',
  },
  SSH_FORWARD_FAILED: {
    number: 9009,
    meaning: "The board's SSH server could not open the way to the agent.",
    remedy:
      'Check that the agent runs (`systemctl status pynq-llm`), that the user may use its socket, and that sshd_config allows AllowStreamLocalForwarding and AllowTcpForwarding.',
  },
  SSH_COMMAND_FAILED: {
    number: 9010,
    meaning: 'A command on the board failed.',
    remedy: 'The end of its output says why.',
  },
  SSH_CONFIG_UNSUPPORTED: {
    number: 9011,
    meaning:
      'The SSH configuration decides where one connects or whom one trusts by a directive that is not followed here.',
    remedy:
      'Take the directive away from this host, or forward a local port with OpenSSH (`ssh -L`) and give that as the device.',
  },
  SSH_MODULE_MISSING: {
    number: 9020,
    meaning: 'The ssh2 module, through which boards are logged in to, cannot be loaded.',
    remedy:
      'Install pynq-llm with npm, or, where a program was bundled, put ssh2 into a node_modules folder beside it.',
  },
  DEPLOY_PREFLIGHT: {
    number: 9101,
    meaning: 'The board cannot take the agent. Nothing was sent.',
    remedy: 'Mend what is named and run the command again.',
  },
  DEPLOY_RUNTIME: {
    number: 9102,
    meaning:
      'A part of the release that comes from the npm registry could not be fetched or is not what it should be.',
    remedy: 'Check the network of this machine and the registry that npm is set to.',
  },
  DEPLOY_BUNDLE: {
    number: 9103,
    meaning: "The package's own bundle of the agent is not there or cannot be read.",
    remedy: 'Install the package again; in a checkout run `npm run build`.',
  },
  DEPLOY_DISK_FULL: {
    number: 9104,
    meaning: "The board's storage filled up while the release was sent.",
    remedy:
      'Free space under /opt, for example with `deploy --list` and `--remove RELEASE`, and run the command again.',
  },
  DEPLOY_TRANSFER: {
    number: 9105,
    meaning: 'A file on the board is not the one that was sent.',
    remedy:
      'Run the command again; if it happens again, suspect the memory or the storage of the board, or a process of the user who logs in that changes /opt/pynq-llm/incoming.',
  },
  DEPLOY_UNHEALTHY: {
    number: 9106,
    meaning: 'The new release did not pass its checks in time.',
    remedy: 'The message says which check failed and what runs now; `logs` shows what the agent said.',
  },
  DEPLOY_BUSY: {
    number: 9107,
    meaning: 'Another deploy works on this board.',
    remedy: 'Wait for it to end. One that was cut off gives the board free after a few minutes.',
  },
  DEPLOY_NO_RELEASE: {
    number: 9108,
    meaning: 'The board has no such release.',
    remedy: '`deploy --list` shows what there is.',
  },
  DEPLOY_RELEASE_IN_USE: {
    number: 9109,
    meaning: 'The release is the active one.',
    remedy: 'Activate another one first, with `deploy` or `deploy --rollback`.',
  },
  DEPLOY_NODE_ARCHIVE: {
    number: 9111,
    meaning: 'The archive of Node.js is none that the board can run.',
    remedy:
      'Give the node-vX.Y.Z-linux-ARCH.tar.gz or .tar.xz of nodejs.org for the board: armv7l for a PYNQ-Z1 or Z2, arm64 for a KV260.',
  },
  DEPLOY_NODE_UNVERIFIED: {
    number: 9112,
    meaning: 'Nothing vouches for the archive of Node.js, or it is not what it should be.',
    remedy:
      'Put the SHASUMS256.txt of the same release beside it, or give --sha256; download the archive again where it differs.',
  },
  DEPLOY_NODE_OLDER: {
    number: 9113,
    meaning: 'The board runs a newer Node.js than this deploy would put on it.',
    remedy: 'Give the archive again with --node FILE, or --node npm to go back to what npm has.',
  },
  DEPLOY_UNSAFE_FOLDER: {
    number: 9110,
    meaning: "Other users can change a folder that root would put the agent's programs into.",
    remedy:
      'Make it and all folders above it belong to root, writable by nobody else (`chown root`, `chmod go-w`).',
  },
} as const satisfies Record<string, ErrorEntry>;
