/** What tokens cost, where descriptions of boards say what boards do. */
export function runningFacts({
  joulesPerToken,
  pricePerMillion,
}: {
  readonly joulesPerToken?: number | undefined;
  readonly pricePerMillion?: number | undefined;
}): [string, string][] {
  const facts: [string, string][] = [];
  if (joulesPerToken !== undefined) facts.push(['energy', `${joulesPerToken.toPrecision(3)} J a token`]);
  if (pricePerMillion !== undefined)
    facts.push(['price', `${pricePerMillion.toPrecision(3)} for a million tokens`]);
  return facts;
}
