/** What is read of a frame, in the names of Node's Buffer. */
export type FrameBytes = Uint8Array &
  Pick<
    Buffer,
    | 'readUInt8'
    | 'readUInt16BE'
    | 'readUInt32BE'
    | 'readInt8'
    | 'readInt16BE'
    | 'readInt32BE'
    | 'readFloatBE'
    | 'readDoubleBE'
    | 'readBigUInt64BE'
    | 'readBigInt64BE'
    | 'toString'
  >;

/** The frame's bytes, not copied. Browsers have another file in the place of this one (`browser` in package.json). */
export function frameBytes(frame: Uint8Array): FrameBytes {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.length);
}
