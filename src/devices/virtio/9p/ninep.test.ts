import { describe, expect, test } from 'vitest';
import { TestMemory } from '../../../engine/testing.js';
import type { DescriptorChain } from '../device.js';
import { VirtioRig } from '../testing/index.js';
import { T } from './message.js';
import { type NinepBackend, VirtioNinep } from './ninep.js';
import { NinepServer } from './server.js';
import { answer, MemoryTree, request } from './testing.js';

const VERSION = request(T.version, 3, [8192, 4], '9P2000.L');

/** A back end that answers when it is told to. */
class WaitingBackend implements NinepBackend {
  readonly waiting: (() => void)[] = [];
  resets = 0;
  private readonly server = new NinepServer(new MemoryTree(), { readonly: false });

  serve(chain: DescriptorChain, done: (written: number) => void): void {
    this.waiting.push(() => {
      const message = new Uint8Array(chain.readableLength);
      chain.read(0, message);
      done(chain.write(0, this.server.serve(message, chain.writableLength)!));
    });
  }

  reset(): void {
    this.resets++;
  }
}

function ninepRig(): { backend: WaitingBackend; memory: TestMemory; rig: VirtioRig } {
  const backend = new WaitingBackend();
  const memory = new TestMemory(0x40_0000);
  return { backend, memory, rig: new VirtioRig({ device: new VirtioNinep({ tag: 'music', memory, backend }) }) };
}

describe('the 9P device', () => {
  test('says what it is and what its tag is', () => {
    const { rig } = ninepRig();
    expect(rig.configRead(0, 4)).toBe(0x1049_1af4);
    expect(rig.config(0, 2)).toBe(5);
    expect(String.fromCharCode(...Array.from({ length: 5 }, (_, i) => rig.config(2 + i, 1)))).toBe('music');
  });

  test.each([false, true])('answers a message when its back end does (packed: %s)', (packed) => {
    const { rig, backend, memory } = ninepRig();
    rig.start({ packed });
    const first = rig.queue(0).add([VERSION.slice(0, 5), VERSION.slice(5)], [6, 4000]);
    const second = rig.queue(0).add([VERSION], [4000]);
    rig.queue(0).kick();
    expect(rig.queue(0).collect()).toEqual([]);
    backend.waiting[1]();
    backend.waiting[0]();
    expect(rig.queue(0).collect()).toEqual([second, first]);
    for (const { bytes, written } of [first, second]) {
      const reply = answer(bytes.slice(0, written));
      expect([reply.type, reply.tag, reply.u32(), reply.string()]).toEqual([T.version + 1, 3, 8192, '9P2000.L']);
    }
    expect(memory.written.map(({ length }) => length)).toEqual([4000, 6, 4000]);
  });

  test.each([
    ['without a header', [VERSION.slice(0, 6)], [100]],
    ['without room for an error', [VERSION], [10]],
  ])('a message %s is a violation', (_, readable, writable) => {
    const { rig } = ninepRig();
    rig.start();
    rig.queue(0).add(readable, writable);
    rig.queue(0).kick();
    expect(rig.needsReset).toBe(true);
    expect(rig.warnings[0]).toMatch(
      /the driver sent virtio-9p a message of \d+ bytes with room .* \(virtio 1\.2, 2\.6\)/,
    );
  });

  test('an answer that comes after a reset reaches nobody', () => {
    const { rig, backend } = ninepRig();
    rig.start();
    rig.queue(0).send([VERSION], [100]);
    rig.reset();
    expect(backend.resets).toBe(1);
    rig.start();
    backend.waiting[0]();
    expect(rig.queue(0).collect()).toEqual([]);
  });
});
