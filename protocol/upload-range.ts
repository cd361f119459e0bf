/** Bytes of a model that one request of an upload carries. */
export interface UploadRange {
  /** Where they begin in the model. */
  readonly offset: number;
  readonly byteLength: number;
  /** Bytes of the whole model. */
  readonly modelBytes: number;
}

/** Where the bytes of uploads are sent to: `PUT` of this and the upload's id, on the port of the WebSocket. */
export const UPLOAD_PATH = '/upload/';

/** The range as a Content-Range header has it (RFC 9110, 14.4). */
export function formatContentRange({ offset, byteLength, modelBytes }: UploadRange): string {
  return `bytes ${offset}-${offset + byteLength - 1}/${modelBytes}`;
}

/** The range that a Content-Range header says; undefined where it says none. */
export function parseContentRange(header: string): UploadRange | undefined {
  const [, first, last, all] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header)?.map(Number) ?? [];
  if (first === undefined || first > last || last >= all) return undefined;
  return { offset: first, byteLength: last - first + 1, modelBytes: all };
}
