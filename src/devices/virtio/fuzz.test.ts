import fc from 'fast-check';
import { describe, it } from 'vitest';
import { VirtioBalloon } from './balloon/balloon.js';
import { VirtioBlock } from './block/block.js';
import { MemoryDisk } from './block/testing.js';
import { VirtioConsole } from './console/index.js';
import { ALL_OFFLOADS, type NetPort } from './net/backend.js';
import { HEADER_LENGTH } from './net/header.js';
import { VirtioNet } from './net/net.js';
import { VirtioRng } from './rng/rng.js';
import { ECHO_F_REFUSED, EchoDevice } from './testing/echo.js';
import { survives } from './testing/index.js';

/** Millions of cases take an hour. */
const PATIENCE = { timeout: 86_400_000 };

describe('whatever a driver writes, nothing crashes or hangs, and only what it has given is written', PATIENCE, () => {
  it('by a transport with a device that answers now or later', () =>
    survives(fc, () => {
      const device = new EchoDevice();
      const happen = (n: number): void => {
        const { driver, waiting } = device;
        if (driver === undefined) return;
        if (n === 0) driver.configChanged();
        if (waiting.length > 0) device.finish(n % waiting.length);
      };
      return { device, happen, without: [ECHO_F_REFUSED] };
    }));

  it('by the entropy device', () =>
    survives(fc, (clock) => ({ device: new VirtioRng({ clock, fill: (into) => into.fill(0x5a) }) })));

  it('by the console', () =>
    survives(fc, (clock) => {
      let room = 100;
      const backend = {
        transmit: (bytes: Uint8Array): number => {
          const taken = Math.min(bytes.length, room);
          room -= taken;
          return taken;
        },
      };
      const ports = [{ backend }, { backend, name: 'b' }];
      const device = new VirtioConsole({ clock, size: { cols: 80, rows: 25 }, ports });
      const happen = (n: number): void => {
        room += n;
        device.resume(n % 2);
        device.receive(n % 2, new Uint8Array(n).fill(n));
        device.setSize({ cols: n, rows: n });
        device.setOpen(1, n % 3 === 0);
      };
      return { device, happen };
    }));

  it('by the balloon', () =>
    survives(fc, (clock, memory) => {
      // Pages that are given back are not touched: what they read as is the back end's affair.
      const device = new VirtioBalloon({ memory, clock, backend: { discard: () => {} } });
      const happen = (n: number): void => {
        device.setTarget(n * 4096);
        device.requestStats();
      };
      return { device, happen };
    }));

  it('by the block device, whose disk answers in any order or fails', () =>
    survives(fc, (_, memory) => {
      const disk = new MemoryDisk(64);
      const device = new VirtioBlock({ backend: disk, memory, queues: 2 });
      const happen = (n: number): void => {
        if (disk.waiting.length > 0) disk.finish(n % disk.waiting.length, n % 5 !== 0);
        disk.onBatch();
      };
      return { device, happen };
    }));

  it('by the network device', () =>
    survives(fc, (clock) => {
      const packets: Uint8Array[] = [];
      let room = 3;
      let port: NetPort | undefined;
      const backend = {
        name: 'fuzzed network',
        takes: ALL_OFFLOADS,
        gives: ALL_OFFLOADS,
        mtu: 1400,
        linkUp: true,
        connect: (driver: NetPort | undefined): void => {
          port = driver;
        },
        send: (): boolean => room-- > 0,
        peek: (): Uint8Array | undefined => packets[0],
        shift: (): void => {
          packets.shift();
        },
      };
      const device = new VirtioNet({ backend, clock, mac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56) });
      const happen = (n: number): void => {
        packets.push(new Uint8Array(HEADER_LENGTH + 14 + n).fill(n === 0 ? 0 : 0xff, HEADER_LENGTH));
        room += n % 4;
        backend.linkUp = n % 7 !== 0;
        port?.onPackets();
        port?.onRoom();
        port?.onLink();
      };
      return { device, happen };
    }));
});
