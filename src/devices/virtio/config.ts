/** A field of a configuration space whose bytes lie in an array, little-endian; unsigned. `offset + size` is within it. */
export function configField(bytes: ArrayLike<number>, offset: number, size: 1 | 2 | 4): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= bytes[offset + i] << (8 * i);
  return value >>> 0;
}
