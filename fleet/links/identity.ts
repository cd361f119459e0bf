import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';

/** What a board shows on its links: made at its start, and known to others by its fingerprint alone. */
export interface LinkIdentity {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the certificate, as "AA:BB:…": what is told over the bus. */
  readonly fingerprint: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OID = 0x06;
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
/** The version, in a context of its own. */
const VERSION = 0xa0;

/** 1.3.101.112 and 2.5.4.3. */
const ED25519 = der(SEQUENCE, der(OID, Buffer.from([0x2b, 0x65, 0x70])));
const COMMON_NAME = der(OID, Buffer.from([0x55, 0x04, 0x03]));

/**
 * Makes a key and a certificate that it signs itself (X.509, Ed25519). It never expires: boards have no clock that runs while they are
 * off, and whoever looks at it compares its fingerprint.
 */
export function makeIdentity(): LinkIdentity {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const bytes = certificateOf(publicKey, privateKey);
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    fingerprint: new X509Certificate(bytes).fingerprint256,
  };
}

function certificateOf(publicKey: KeyObject, privateKey: KeyObject): Buffer {
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8, Buffer.from('pynq-llm link')))));
  const serial = randomBytes(16);
  // A positive number, without zeros in front.
  serial[0] = 0x40 | (serial[0]! & 0x3f);
  const signed = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, serial),
    ED25519,
    name,
    der(
      SEQUENCE,
      der(UTC_TIME, Buffer.from('700101000000Z')),
      der(GENERALIZED_TIME, Buffer.from('99991231235959Z')),
    ),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign(null, signed, privateKey);
  return der(SEQUENCE, signed, ED25519, der(BIT_STRING, Buffer.from([0]), signature));
}

/** A value of ASN.1 in its distinguished encoding, of at most 65535 bytes. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
