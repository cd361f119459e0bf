import type { ErrorEntry } from './entry.js';

/** Errors of bus/: numbers 10000 to 10499 (10100: a broker that cannot be used). */
export const BUS_ERRORS = {
  BUS_SUBJECT_INVALID: {
    number: 10000,
    meaning: 'A subject, key or name has characters or a form that it may not have.',
    remedy: 'Use letters, digits, "-" and "_", in parts joined by dots where a subject may have several.',
  },
  BUS_PAYLOAD_TOO_LARGE: {
    number: 10001,
    meaning: 'A message is larger than the broker takes.',
    remedy: "Send it in parts, or raise max_payload in the broker's configuration.",
  },
  BUS_CLOSED: {
    number: 10002,
    meaning: 'The bus was used after it had been closed.',
    remedy: 'Connect again.',
  },
  BUS_UNAVAILABLE: {
    number: 10003,
    meaning: 'The broker could not be reached, or did not answer, within the time given.',
    remedy:
      'Check that the broker runs and that the network between is up; the connection comes back by itself.',
  },
  BUS_NO_RESPONDER: {
    number: 10004,
    meaning: 'Nobody answers requests on this subject.',
    remedy: 'Check that whoever should answer runs and is connected to the same broker.',
  },
  BUS_REQUEST_TIMEOUT: {
    number: 10005,
    meaning: 'A request was not answered within its time.',
    remedy: 'Ask again, or give it more time; who should answer may be busy or gone.',
  },
  BUS_REQUEST_FAILED: {
    number: 10006,
    meaning: 'Who answered a request failed at it, or sent an answer that cannot be read.',
    remedy: "The answerer's log has more.",
  },
  BUS_BUSY: {
    number: 10007,
    meaning: 'Who should answer has more requests waiting than it may keep.',
    remedy: 'Ask again a little later.',
  },
  BUS_MISSING: {
    number: 10008,
    meaning: 'A queue, a log or a bucket was used that the broker does not have.',
    remedy: 'Start the fleet, which declares them, and check that both use the same broker.',
  },
  BUS_OPTION_INVALID: {
    number: 10009,
    meaning: 'An option of a queue, a log, a bucket, a lease or a wait is out of its range.',
    remedy: 'Give the option a value in the range named.',
  },
  BUS_STORE_FULL: {
    number: 10010,
    meaning: 'The broker refuses to store more: a limit of its memory, its disk or the stream is reached.',
    remedy: "Free room on the broker's disk, or raise max_file_store and the limits of the queue or log.",
  },
  BUS_LEASE_LOST: {
    number: 10011,
    meaning: 'A lease that was held is held no longer.',
    remedy: 'Stop what only its holder may do, and take it again.',
  },
  BUS_REFUSED: {
    number: 10012,
    meaning: 'The broker refuses what was asked, for a reason that has no code of its own here.',
    remedy: "Compare its configuration with docs/fleet.md; the broker's log may have more.",
  },
  BUS_BROKER_TOO_OLD: {
    number: 10100,
    meaning: 'The broker is of a version that lacks what a fleet needs.',
    remedy: 'Install nats-server 2.9.10 or later (Debian 12: apt-get install nats-server).',
  },
  BUS_NO_JETSTREAM: {
    number: 10101,
    meaning: 'The broker stores nothing: its JetStream is off, or off for this account.',
    remedy: 'Add "jetstream { store_dir: /var/lib/nats }" to its configuration and start it again.',
  },
  BUS_CREDENTIALS_REFUSED: {
    number: 10102,
    meaning: 'The broker does not know the key that was shown, or asks for one and none was given.',
    remedy: "Add the public key to the broker's configuration and reload it, or name the right file.",
  },
  BUS_NOT_PERMITTED: {
    number: 10103,
    meaning: 'The key that is used may not do this on the broker.',
    remedy: 'Use the key of whoever does this, or compare its permissions with docs/fleet.md.',
  },
  BUS_CREDENTIALS_FILE: {
    number: 10104,
    meaning: 'A file with a key for the broker cannot be used: unreadable, open to others, or no key in it.',
    remedy: 'Name a file that holds an nkey seed (SU...) and that only its owner can read (chmod 600).',
  },
  BUS_TLS: {
    number: 10105,
    meaning:
      'The connection to the broker is not secured as was asked, or its certificate is not the pinned one.',
    remedy: "Compare the fingerprint with the broker's certificate; do not go on if nobody changed it.",
  },
  BUS_URL_INVALID: {
    number: 10106,
    meaning: 'The URL of a broker cannot be used.',
    remedy: 'Give it as nats://HOST[:PORT], or tls://HOST[:PORT] where the broker has a certificate.',
  },
  BUS_SERVER_LIMIT: {
    number: 10107,
    meaning: 'The broker has a limit that is too small for a fleet.',
    remedy: "Raise the limit named in the broker's configuration; docs/fleet.md has one that is enough.",
  },
} as const satisfies Record<string, ErrorEntry>;
