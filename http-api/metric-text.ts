// Prometheus text; source: the exposition formats page of its documentation.

/** The labels of each series, written by {@link labelsOf} or nothing, and its value. */
export type Values = readonly (readonly [labels: string, value: number])[];

/** `{name="value",…}`; whatever a value holds. */
export function labelsOf(labels: Readonly<Record<string, string | number>>): string {
  const written = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return `{${written.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

export function counterText(name: string, help: string, values: Values): string {
  return metricText(name, help, 'counter', values);
}

export function gaugeText(name: string, help: string, values: Values): string {
  return metricText(name, help, 'gauge', values);
}

function metricText(name: string, help: string, type: string, values: Values): string {
  const full = `pynq_llm_${name}`;
  const lines = values.map(([labels, value]) => `${full}${labels} ${value}\n`).join('');
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines}`;
}
