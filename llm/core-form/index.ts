export { chooseForms, type FormChoice } from './choose-forms.js';
export {
  type CoreForm,
  type CoreTypesSetting,
  checkCoreTypes,
  coreForm,
} from './core-form.js';
export { coreUse } from './core-use.js';
export { reportOfFile } from './report.js';
export { type ReadRows, RowConverter } from './row-converter.js';
export { weightLoss } from './weight-loss.js';
