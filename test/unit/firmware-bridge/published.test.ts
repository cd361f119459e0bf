import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { boardOfBitstream, checkPublished, md5Of } from '../../../firmware-bridge/bitstream/published.js';

const V3 = 'cac1729e940a7cd8e3f04f315d7bc60e';
const V4 = '86ca50aa85185c5e109f8728000ab8a2';

it('published bitstreams are known by their MD5', () => {
  expect(md5Of(new TextEncoder().encode('abc'))).toBe('900150983cd24fb0d6963f7d28e17f72');
  expect([boardOfBitstream(V3), boardOfBitstream(V4)]).toEqual(['kv260-2026-v3', 'kv260-2026-v4']);
  expect(boardOfBitstream('900150983cd24fb0d6963f7d28e17f72')).toBeUndefined();
});

it('a published bitstream is refused for the description of another; other builds pass', () => {
  const v3 = loadBoardDescription('kv260-2026-v3');
  expect(() => checkPublished(V4, v3)).toThrow(
    /FIRMWARE_WRONG_BOARD.*kv260-2026-v4 describes, not kv260-2026-v3/,
  );
  expect(() => checkPublished(V3, loadBoardDescription('kv260'))).toThrow('FIRMWARE_WRONG_BOARD');
  checkPublished(V3, v3);
  checkPublished(V3, { ...v3, name: 'mine' });
  checkPublished('900150983cd24fb0d6963f7d28e17f72', v3);
});
