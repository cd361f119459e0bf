/** What of a model file a board is asked about: its shapes, from its header. Browsers have none (`browser` in package.json). */
export async function modelToPlan(path: string) {
  const { tryReadModelToPlan } = await import('../agent/plan-on-board.js');
  return tryReadModelToPlan(path);
}
