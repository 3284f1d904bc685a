import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Errno, T } from './message.js';
import { LARGEST_MSIZE, MOST_FIDS, NinepServer } from './server.js';
import { answer, MemoryTree, REGULAR, request } from './testing.js';

const NO_FID = 0xffff_ffff;
const ROOM = 65_536;
type Fields = Parameters<typeof request> extends [number, number, ...infer F] ? F : never;

/** A server with a folder that holds `file`, its session begun and fid 0 at the folder. */
function session({ readonly = false } = {}) {
  const tree = new MemoryTree();
  tree.top.entries.set('file', tree.make(REGULAR, 'hello'));
  const server = new NinepServer(tree, { readonly });
  const ask = (type: number, ...fields: Fields) => answer(server.serve(request(type, 7, ...fields), ROOM));
  const errno = (type: number, ...fields: Fields) => {
    const reply = ask(type, ...fields);
    return reply.type === T.lerror + 1 ? reply.u32() : 0;
  };
  ask(T.version, [8192, 4], '9P2000.L');
  ask(T.attach, [0, 4], [NO_FID, 4], 'root', '', [0, 4]);
  return { tree, server, ask, errno };
}

const walk = (from: number, to: number, ...names: string[]): Fields => [
  [from, 4],
  [to, 4],
  [names.length, 2],
  ...names,
];

describe('the 9P server', () => {
  test('agrees on a message size that both can and on the one version that it speaks', () => {
    const { ask, errno } = session();
    const large = ask(T.version, [0xffff_ffff, 4], '9P2000.L');
    expect([large.type, large.tag, large.u32(), large.string()]).toEqual([T.version + 1, 7, LARGEST_MSIZE, '9P2000.L']);
    const old = ask(T.version, [8192, 4], '9P2000');
    expect([old.u32(), old.string()]).toEqual([8192, 'unknown']);
    expect(errno(T.version, [100, 4], '9P2000.L')).toBe(Errno.EINVAL);
  });

  test('walks, opens, reads and writes a file', () => {
    const { ask, errno, tree } = session();
    expect(ask(T.walk, ...walk(0, 1, 'file')).u16()).toBe(1);
    expect(errno(T.read, [1, 4], [0, 8], [10, 4])).toBe(Errno.EBADF);
    expect(errno(T.lopen, [1, 4], [2, 4])).toBe(0);
    const read = ask(T.read, [1, 4], [1, 8], [100, 4]);
    expect(new TextDecoder().decode(read.data(read.u32()))).toBe('ello');
    expect(ask(T.write, [1, 4], [5, 8], [1, 4], Uint8Array.of(33)).u32()).toBe(1);
    expect(new TextDecoder().decode(tree.top.entries.get('file')!.bytes)).toBe('hello!');
    expect(errno(T.clunk, [1, 4])).toBe(0);
    expect(errno(T.clunk, [1, 4])).toBe(Errno.EBADF);
    expect([tree.held, tree.opened]).toEqual([1, 0]);
  });

  test('a walk that stops half way tells how far it came and makes no fid', () => {
    const { ask, errno, tree } = session();
    expect(errno(T.walk, ...walk(0, 1, 'nothing'))).toBe(Errno.ENOENT);
    ask(T.mkdir, [0, 4], 'd', [0o755, 4], [0, 4]);
    expect(ask(T.walk, ...walk(0, 1, 'd', 'nothing')).u16()).toBe(1);
    expect(errno(T.clunk, [1, 4])).toBe(Errno.EBADF);
    expect(tree.held).toBe(1);
  });

  test.each(['', '.', 'a/b', '../x', 'a\0b', 'x'.repeat(256)])('"%s" is no name to walk to or to make', (name) => {
    const { errno } = session();
    expect(errno(T.walk, ...walk(0, 1, name))).toBeGreaterThan(0);
    expect(errno(T.mkdir, [0, 4], name, [0o755, 4], [0, 4])).toBeGreaterThan(0);
  });

  test('.. can be walked to but not made, removed or renamed', () => {
    const { errno, ask } = session();
    expect(ask(T.walk, ...walk(0, 1, '..')).u16()).toBe(1);
    expect(errno(T.mkdir, [0, 4], '..', [0o755, 4], [0, 4])).toBe(Errno.EINVAL);
    expect(errno(T.unlinkat, [0, 4], '..', [0x200, 4])).toBe(Errno.EINVAL);
    expect(errno(T.renameat, [0, 4], 'file', [0, 4], '..')).toBe(Errno.EINVAL);
    expect(errno(T.remove, [1, 4])).toBe(Errno.EACCES);
  });

  test('lists a folder in as many pieces as it takes', () => {
    const { ask } = session();
    for (let i = 0; i < 100; i++) ask(T.mkdir, [0, 4], `folder ${i}`, [0o755, 4], [0, 4]);
    ask(T.lopen, [0, 4], [0, 4]);
    const names: string[] = [];
    for (let offset = 0, more = true; more; ) {
      const reply = ask(T.readdir, [0, 4], [offset, 8], [500, 4]);
      const end = reply.u32();
      expect(end).toBeLessThanOrEqual(500);
      more = end > 0;
      for (let left = end; left > 0; left -= 24 + names[names.length - 1].length) {
        reply.data(13);
        offset = reply.u64();
        reply.u8();
        names.push(reply.string());
      }
    }
    expect(names).toEqual(['file', ...Array.from({ length: 100 }, (_, i) => `folder ${i}`)]);
  });

  test('a folder that is only to be read stays as it is', () => {
    const { errno, tree } = session({ readonly: true });
    errno(T.walk, ...walk(0, 1, 'file'));
    const attempts: [number, Fields][] = [
      [
        T.lopen,
        [
          [1, 4],
          [1, 4],
        ],
      ],
      [
        T.lopen,
        [
          [1, 4],
          [0o1000, 4],
        ],
      ],
      [T.lcreate, [[0, 4], 'x', [2, 4], [0o644, 4], [0, 4]]],
      [T.mkdir, [[0, 4], 'x', [0o755, 4], [0, 4]]],
      [T.symlink, [[0, 4], 'x', '/', [0, 4]]],
      [T.mknod, [[0, 4], 'x', [REGULAR, 4], [0, 4], [0, 4], [0, 4]]],
      [T.link, [[0, 4], [1, 4], 'x']],
      [T.rename, [[1, 4], [0, 4], 'x']],
      [T.renameat, [[0, 4], 'file', [0, 4], 'x']],
      [T.unlinkat, [[0, 4], 'file', [0, 4]]],
      [T.setattr, [[1, 4], new Uint8Array(56)]],
      [T.write, [[1, 4], [0, 8], [1, 4], Uint8Array.of(1)]],
      [T.remove, [[1, 4]]],
    ];
    for (const [type, fields] of attempts) expect([type, errno(type, ...fields)]).toEqual([type, Errno.EROFS]);
    expect([...tree.top.entries.keys()]).toEqual(['file']);
  });

  test('devices are not made, and set-user-ID bits are not given', () => {
    const { errno, tree } = session();
    expect(errno(T.mknod, [0, 4], 'null', [0o020666, 4], [1, 4], [3, 4], [0, 4])).toBe(Errno.EPERM);
    expect(errno(T.mknod, [0, 4], 'tool', [REGULAR | 0o6755, 4], [0, 4], [0, 4], [0, 4])).toBe(0);
    expect(tree.top.entries.get('tool')!.mode & 0o7777).toBe(0o755);
  });

  test('no guest has more fids than are allowed, and a new session has none', () => {
    const { ask, errno, tree } = session();
    for (let fid = 1; fid < MOST_FIDS; fid++) ask(T.walk, ...walk(0, fid));
    expect(errno(T.walk, ...walk(0, MOST_FIDS))).toBe(Errno.ENFILE);
    expect(tree.held).toBe(MOST_FIDS);
    ask(T.version, [8192, 4], '9P2000.L');
    expect(tree.held).toBe(0);
  });

  test('whatever bytes come, the answer is whole and fits, and nothing stays held', () => {
    const type = fc.oneof(fc.constantFrom(...Object.values(T)), fc.nat(255));
    const fid: fc.Arbitrary<Fields[number]> = fc.nat(3).map((n) => [n, 4]);
    const name = fc.constantFrom('file', 'x', '..', 'a/b', '');
    const field = fc.oneof<fc.Arbitrary<Fields[number]>[]>(
      fid,
      name,
      fc.tuple(fc.nat(0xffff_ffff), fc.constantFrom<1 | 2 | 4 | 8>(1, 2, 4, 8)),
      fc.uint8Array({ maxLength: 40 }),
    );
    const known = fc.tuple(type, fid, fc.array(field, { maxLength: 8 }));
    fc.assert(
      fc.property(
        fc.array(known, { maxLength: 30 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(300),
        (asked, noise, room) => {
          const { server, tree } = session();
          const check = (message: Uint8Array, space: number) => {
            const reply = server.serve(message, space);
            if (reply === undefined) expect(space).toBeLessThan(11);
            else expect(reply.length).toBeLessThanOrEqual(space);
            if (reply !== undefined) answer(reply);
          };
          for (const [number, first, fields] of asked) check(request(number, 1, first, ...fields), ROOM);
          for (const [number, first, fields] of asked) check(request(number, 1, first, ...fields), room);
          check(noise, ROOM);
          server.reset();
          expect([tree.held, tree.opened]).toEqual([0, 0]);
        },
      ),
      { numRuns: Number(process.env.TYPEVISOR_VIRTIO_CASES ?? 500) },
    );
  });
});
