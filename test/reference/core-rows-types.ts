/** Types whose rows are made for the core by default, and F16. */
export const COUNTED_TYPES = ['Q4_0', 'Q5_0', 'Q4_1', 'Q5_1', 'Q8_0', 'IQ4_NL', 'IQ4_XS', 'F16'] as const;
/** And those whose rows the CPU multiplies as blocks of 32. */
export const MULTIPLIED_TYPES = ['Q4_0', 'Q5_0', 'Q4_1', 'Q5_1', 'Q8_0', 'IQ4_NL'] as const;
export const COUNTED_ROWS = 40;
export const COUNTED_COLUMNS = 768;
