const TAR_BLOCK = 512;

/** A plain file of a tar archive. */
export interface TarFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Plain files of a tar archive, POSIX ustar. @throws Error where it is none */
export function* readTar(tar: Buffer): Generator<TarFile> {
  const text = (at: number, length: number) => tar.toString('latin1', at, at + length).replace(/\0.*$/s, '');
  for (let at = 0; at + TAR_BLOCK <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    const type = text(at + 156, 1);
    // GNU's tar, which Node's archives are of, has other things there.
    const prefix = text(at + 257, 6) === 'ustar' ? text(at + 345, 155) : '';
    const name = `${prefix === '' ? '' : `${prefix}/`}${text(at, 100)}`;
    const start = at + TAR_BLOCK;
    // A size that is no number, or beyond the end, is never followed.
    if (!(size >= 0 && start + size <= tar.length)) throw new Error('it cannot be unpacked');
    if (type === '0' || type === '') yield { path: name, bytes: tar.subarray(start, start + size) };
    at = start + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
}
