/** Reads a tar archive as it streams by (POSIX.1-2001 ustar, with GNU and pax long names), keeping only what is wanted. */

export interface TarFile {
  /** Without a leading `./` or `/`. */
  readonly path: string;
  readonly data: Uint8Array;
}

const BLOCK = 512;

/**
 * The regular files for which `wanted` says yes, in the archive's order. Other files' bytes are not kept.
 * @throws Error where the archive is malformed or ends too soon
 */
export async function* readTar(
  stream: AsyncIterable<Uint8Array>,
  wanted: (path: string) => boolean,
): AsyncGenerator<TarFile> {
  const reader = new BlockReader(stream);
  const decoder = new TextDecoder();
  let longName: string | undefined;
  for (;;) {
    const header = await reader.read(BLOCK);
    if (header === undefined) throw new Error('the archive ends too soon');
    if (header.every((byte) => byte === 0)) {
      await reader.skipAll();
      return;
    }
    const text = (from: number, length: number) =>
      decoder.decode(header.subarray(from, from + length)).replace(/\0.*$/s, '');
    const size = octal(text(124, 12));
    const padded = Math.ceil(size / BLOCK) * BLOCK;
    const type = text(156, 1);
    if (type === 'L' || type === 'x') {
      if (size > 1 << 20) throw new Error('the archive has an absurd file name');
      const data = await reader.read(padded);
      if (data === undefined) throw new Error('the archive ends too soon');
      const value = decoder.decode(data.subarray(0, size));
      longName = type === 'L' ? value.replace(/\0.*$/s, '') : (/\d+ path=(.*)\n/.exec(value)?.[1] ?? longName);
      continue;
    }
    const prefix = text(257, 5) === 'ustar' && text(257, 8) !== 'ustar  ' ? text(345, 155) : '';
    const path = (longName ?? (prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`)).replace(/^(\.?\/)+/, '');
    longName = undefined;
    const regular = type === '0' || type === '';
    if (!regular || !wanted(path)) {
      await reader.skip(padded);
      continue;
    }
    const data = await reader.read(padded);
    if (data === undefined) throw new Error('the archive ends too soon');
    yield { path, data: data.subarray(0, size) };
  }
}

function octal(text: string): number {
  const value = Number.parseInt(text.trim() || '0', 8);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error('the archive has a damaged header');
  return value;
}

/** Exact amounts out of a stream of chunks. */
class BlockReader {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.chunks = stream[Symbol.asyncIterator]();
  }

  /** A copy of the next `length` bytes; undefined where the stream ends before. */
  async read(length: number): Promise<Uint8Array | undefined> {
    const result = new Uint8Array(length);
    return (await this.take(length, (piece, at) => result.set(piece, at))) ? result : undefined;
  }

  async skip(length: number): Promise<void> {
    if (!(await this.take(length, () => {}))) throw new Error('the archive ends too soon');
  }

  async skipAll(): Promise<void> {
    while (!(await this.chunks.next()).done);
  }

  private async take(length: number, use: (piece: Uint8Array, at: number) => void): Promise<boolean> {
    for (let at = 0; at < length; ) {
      if (this.chunk.length === 0) {
        const next = await this.chunks.next();
        if (next.done) return false;
        this.chunk = next.value;
        continue;
      }
      const piece = this.chunk.subarray(0, length - at);
      use(piece, at);
      at += piece.length;
      this.chunk = this.chunk.subarray(piece.length);
    }
    return true;
  }
}
