import { describe, expect, it } from 'vitest';
import { readTar, type TarFile } from './tar.js';

interface Item {
  readonly name: string;
  readonly type?: string;
  readonly data?: Uint8Array;
  readonly prefix?: string;
}

function tar(items: readonly Item[]): Uint8Array {
  const blocks: Buffer[] = [];
  for (const { name, type = '0', data = new Uint8Array(), prefix = '' } of items) {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write(type, 156);
    header.write('ustar\x0000', 257);
    header.write(prefix, 345);
    const padded = Buffer.alloc(Math.ceil(data.length / 512) * 512);
    padded.set(data);
    blocks.push(header, padded);
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(
  bytes: Uint8Array,
  chunk = 700,
  wanted: (path: string) => boolean = () => true,
): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const file of readTar(inChunks(bytes, chunk), wanted)) files.push(file);
  return files;
}

const text = (s: string) => new TextEncoder().encode(s);

describe('tar', () => {
  it('reads the wanted regular files, however the stream is cut', async () => {
    const data = new Uint8Array(1300).map((_, i) => i);
    const archive = tar([
      { name: './', type: '5' },
      { name: './a', data: text('one') },
      { name: './skip', data },
      { name: './b/c', data },
    ]);
    for (const chunk of [1, 511, 512, 5000]) {
      const files = await read(archive, chunk, (path) => path !== 'skip');
      expect(files).toEqual([
        { path: 'a', data: text('one') },
        { path: 'b/c', data },
      ]);
    }
  });

  it('understands prefixes, GNU long names and pax paths', async () => {
    const long = `${'d/'.repeat(80)}file`;
    const files = await read(
      tar([
        { name: 'tail', prefix: 'pre/fix', data: text('1') },
        { name: '././@LongLink', type: 'L', data: text(`${long}\0`) },
        { name: 'cut', data: text('2') },
        { name: 'pax', type: 'x', data: text('13 path=p/q\n') },
        { name: 'cut', data: text('3') },
        { name: 'plain', data: text('4') },
      ]),
    );
    expect(files.map((f) => f.path)).toEqual(['pre/fix/tail', long, 'p/q', 'plain']);
  });

  it('refuses archives that end too soon or have damaged sizes', async () => {
    const archive = tar([{ name: 'a', data: text('one') }]);
    for (const length of [0, 100, 600])
      await expect(read(archive.subarray(0, length))).rejects.toThrow(/ends too soon/);
    const damaged = Buffer.from(archive);
    damaged.write('zzz', 124);
    await expect(read(damaged)).rejects.toThrow(/damaged header/);
  });
});
