/** A number as whole units of 10^-digits. */
export interface Decimal {
  readonly units: bigint;
  readonly digits: number;
}

/** The shortest decimal that reads as this double, which is what JSON writes. */
export function decimalOf(value: number): Decimal {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  const digits = fraction.length - Number(exponent);
  const units = BigInt(`${sign}${whole}${fraction}`);
  return digits >= 0 ? { units, digits } : { units: units * 10n ** BigInt(-digits), digits: 0 };
}
