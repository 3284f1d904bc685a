/** Every rule of rings that a driver can break, broken once: what it did is named with the section that forbids it. */
import { describe, expect, it } from 'vitest';
import { featureSet, VIRTIO_F_IN_ORDER, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } from '../device.js';
import * as L from '../pci/layout.js';
import { ECHO_F_REFUSED, EchoDevice } from '../testing/echo.js';
import { type DriverRing, VirtioRig } from '../testing/index.js';

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const SIZE = 8;
/** Where indirect tables and buffers lie. */
const TABLE = 0x2000;
const BUFFER = 0x3000;

interface Breach {
  readonly what: string;
  readonly section: string;
  readonly message: RegExp;
  readonly without?: readonly number[];
  readonly inOrder?: boolean;
  act(ring: DriverRing, rig: VirtioRig): void;
}

/** Runs a breach against a new device. @returns what the transport said */
function warningsOf({ act, without = [], inOrder = false }: Breach, packed: boolean): string[] {
  const rig = new VirtioRig({ device: new EchoDevice() });
  const refused = [ECHO_F_REFUSED, ...without];
  if (!packed) refused.push(VIRTIO_F_RING_PACKED);
  if (!inOrder) refused.push(VIRTIO_F_IN_ORDER);
  rig.start({ queueSize: SIZE, features: (offered) => offered & ~featureSet(...refused) });
  act(rig.queue(0), rig);
  rig.queue(0).kick();
  expect(rig.needsReset).toBe(true);
  return rig.warnings;
}

const breaches: Breach[] = [
  {
    what: 'an available index that goes back',
    section: '2.7.6.1',
    message: /available index went from 1 to 0 in a queue of 8 entries/,
    act: (ring, rig) => {
      ring.send([], [1]);
      rig.memory.view(ring.areas[1] + 2, 2).fill(0);
    },
  },
  {
    what: 'a head beyond the table',
    section: '2.7.6',
    message: /names descriptor 8 of a queue of 8 entries/,
    act: (ring) => ring.offer(8),
  },
  {
    what: 'a chain that goes on beyond the table',
    section: '2.7.5',
    message: /descriptor 3 is followed by 8/,
    act: (ring) => {
      ring.putRaw(3, BUFFER, 4, NEXT, 8);
      ring.offer(3);
    },
  },
  {
    what: 'a loop of empty descriptors',
    section: '2.7.5.2',
    message: /loops or is longer than the queue, which has 8 entries/,
    act: (ring) => {
      ring.putRaw(0, BUFFER, 0, NEXT, 1);
      ring.putRaw(1, BUFFER, 0, NEXT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a loop of large descriptors',
    section: '2.7.5.2',
    message: /longer than/,
    act: (ring) => {
      ring.putRaw(0, 0, 0x40_0000, NEXT | WRITE, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a buffer outside of RAM',
    section: '2.7.5',
    message: /16 bytes at gpa 3ffff8h, which are not all in RAM/,
    act: (ring) => {
      ring.putRaw(0, 0x3f_fff8, 16, 0, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a buffer beyond 2^53',
    section: '2.7.5',
    message: /not all in RAM/,
    act: (ring) => {
      ring.putRaw(0, 2 ** 63, 16, 0, 0);
      ring.offer(0);
    },
  },
  {
    what: 'something to read behind something to write',
    section: '2.7.4.2',
    message: /device-readable descriptor follows a device-writable one/,
    act: (ring) => {
      ring.putRaw(0, BUFFER, 4, NEXT | WRITE, 1);
      ring.putRaw(1, BUFFER, 4, 0, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a descriptor that is in use already',
    section: '2.7.13.1',
    message: /descriptor 0 is made available while its buffer is in use/,
    act: (_ring, rig) => {
      const slow = rig.queue(1);
      slow.putRaw(0, BUFFER, 4, 0, 0);
      for (let i = 0; i < 2; i++) slow.offer(0);
      slow.kick();
    },
  },
  {
    what: 'an indirect table without the feature',
    section: '2.7.5.3.1',
    message: /VIRTIO_F_INDIRECT_DESC was not negotiated/,
    without: [VIRTIO_F_INDIRECT_DESC],
    act: (ring) => {
      ring.putRaw(0, TABLE, 16, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'an indirect table that goes on in the ring',
    section: '2.7.5.3.1',
    message: /both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT/,
    act: (ring) => {
      ring.putRaw(0, TABLE, 16, INDIRECT | NEXT, 1);
      ring.offer(0);
    },
  },
  {
    what: 'an indirect table of an odd size',
    section: '2.7.5.3',
    message: /indirect table has 24 bytes/,
    act: (ring) => {
      ring.putRaw(0, TABLE, 24, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'an indirect table of no entries',
    section: '2.7.5.3',
    message: /indirect table has 0 bytes/,
    act: (ring) => {
      ring.putRaw(0, TABLE, 0, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'an indirect table outside of RAM',
    section: '2.7.5.3',
    message: /indirect table, 32 bytes at gpa 3ffff0h, does not lie wholly in RAM/,
    act: (ring) => {
      ring.putRaw(0, 0x3f_fff0, 32, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a table in a table',
    section: '2.7.5.3.1',
    message: /in an indirect table has VIRTQ_DESC_F_INDIRECT/,
    act: (ring, rig) => {
      rig.putDescriptor(TABLE, TABLE, 16, INDIRECT, 0);
      ring.putRaw(0, TABLE, 16, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a loop in a table',
    section: '2.7.5.3.1',
    message: /loops or is longer/,
    act: (ring, rig) => {
      rig.putDescriptor(TABLE, BUFFER, 0, NEXT, 0);
      ring.putRaw(0, TABLE, 16, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a chain that leaves its table',
    section: '2.7.5.3',
    message: /descriptor 0 of an indirect table is followed by 2, but the table has 2 entries/,
    act: (ring, rig) => {
      rig.putDescriptor(TABLE, BUFFER, 4, NEXT, 2);
      ring.putRaw(0, TABLE, 32, INDIRECT, 0);
      ring.offer(0);
    },
  },
  {
    what: 'a jump in the table though all is in order',
    section: '2.7.5.2',
    message: /descriptor 0 is followed by 2, though VIRTIO_F_IN_ORDER/,
    inOrder: true,
    act: (ring) => {
      ring.putRaw(0, BUFFER, 4, NEXT, 2);
      ring.offer(0);
    },
  },
  {
    what: 'a jump in an indirect table though all is in order',
    section: '2.7.5.3.1',
    message: /of an indirect table is followed by 2, though VIRTIO_F_IN_ORDER/,
    inOrder: true,
    act: (ring, rig) => {
      rig.putDescriptor(TABLE, BUFFER, 4, NEXT, 2);
      ring.putRaw(0, TABLE, 48, INDIRECT, 0);
      ring.offer(0);
    },
  },
];

const packedBreaches: Breach[] = [
  {
    what: 'a list that ends before its end',
    section: '2.8.6',
    message: /ends at place 1, which is not available/,
    act: (ring) => ring.putRaw(0, BUFFER, 4, NEXT, 1),
  },
  {
    what: 'a list without end',
    section: '2.8.17',
    message: /loops or is longer than the queue/,
    act: (ring) => {
      for (let i = 0; i < SIZE; i++) ring.putRaw(0, BUFFER, 0, NEXT, 1);
    },
  },
  {
    what: 'places that have not been given back',
    section: '2.8.21',
    message: /in places that it has not got back/,
    act: (_ring, rig) => {
      const slow = rig.queue(1);
      for (let i = 0; i < SIZE; i++) slow.putRaw(0, BUFFER, 4, 0, i);
      slow.kick();
      slow.putRaw(0, BUFFER, 4, 0, 99);
      slow.kick();
    },
  },
  {
    what: 'an ID that is in use already',
    section: '2.8.21',
    message: /buffer ID 5 is made available while its buffer is in use/,
    act: (_ring, rig) => {
      const slow = rig.queue(1);
      for (let i = 0; i < 2; i++) slow.putRaw(0, BUFFER, 4, 0, 5);
      slow.kick();
    },
  },
  {
    what: 'a buffer outside of RAM',
    section: '2.8.4',
    message: /not all in RAM/,
    act: (ring) => ring.putRaw(0, 0x3f_fff8, 16, 0, 0),
  },
  {
    what: 'a list that goes on in a table',
    section: '2.8.19',
    message: /goes on in an indirect table at place 1/,
    act: (ring) => {
      ring.putRaw(0, BUFFER, 4, NEXT, 1);
      ring.putRaw(0, TABLE, 16, INDIRECT, 1);
    },
  },
  {
    what: 'an indirect table with more entries than the queue',
    section: '2.8.19',
    message: /longer than the queue/,
    act: (ring) => ring.putRaw(0, TABLE, 16 * (SIZE + 1), INDIRECT, 1),
  },
  {
    what: 'an indirect table without the feature',
    section: '2.8.19',
    message: /VIRTIO_F_INDIRECT_DESC was not negotiated/,
    without: [VIRTIO_F_INDIRECT_DESC],
    act: (ring) => ring.putRaw(0, TABLE, 16, INDIRECT, 0),
  },
];

describe.each([
  ['split', breaches, false],
  ['packed', packedBreaches, true],
] as const)('a %s ring with', (_format, list, packed) => {
  it.each(list.map((breach) => [breach.what, breach] as const))('%s is refused', (_what, breach) => {
    const [warning] = warningsOf(breach, packed);
    expect(warning).toMatch(breach.message);
    expect(warning).toContain(`(virtio 1.2, ${breach.section})`);
  });
});

describe.each([false, true])('a ring that lies where none can (packed: %s)', (packed) => {
  const section = packed ? '2.8.10.1' : '2.7.1';
  const places: [number, number][] = [0, 1, 2].flatMap((area) => [
    [area, area === 0 ? 8 : packed || area === 2 ? 2 : 1],
    [area, 0x40_0000 - (area === 0 ? 16 : 4) - (packed && area > 0 ? -4 : 0)],
    [area, 2 ** 40],
    [area, 2 ** 53],
  ]);

  it.each(places)('is refused when it is enabled (area %i at %i)', (area, gpa) => {
    const rig = new VirtioRig({ device: new EchoDevice() });
    rig.negotiate({
      features: (offered) => offered & ~featureSet(ECHO_F_REFUSED, ...(packed ? [] : [VIRTIO_F_RING_PACKED])),
    });
    rig.setCommon(L.QUEUE_SELECT, 0);
    for (let i = 0; i < 3; i++) {
      const place = i === area ? gpa : 0x1000 * (i + 1);
      rig.setCommon(L.QUEUE_DESC + 8 * i, place % 0x1_0000_0000);
      rig.setCommon(L.QUEUE_DESC + 8 * i + 4, Math.floor(place / 0x1_0000_0000));
    }
    rig.setCommon(L.QUEUE_ENABLE, 1);
    expect([rig.needsReset, rig.common(L.QUEUE_ENABLE)]).toEqual([true, 0]);
    expect(rig.warnings[0]).toMatch(/is not aligned to \d+ bytes|does not lie wholly in RAM/);
    expect(rig.warnings[0]).toContain(`(virtio 1.2, ${section})`);
  });
});

describe('queue_size', () => {
  it.each([
    [0, false],
    [3, false],
    [128, false],
    [0, true],
    [65, true],
  ])('of %i is refused (packed: %s)', (size, packed) => {
    const rig = new VirtioRig({ device: new EchoDevice() });
    rig.negotiate({
      features: (offered) => offered & ~featureSet(ECHO_F_REFUSED, ...(packed ? [] : [VIRTIO_F_RING_PACKED])),
    });
    rig.setCommon(L.QUEUE_SIZE, size);
    expect(rig.common(L.QUEUE_SIZE)).toBe(64);
    expect(rig.warnings[0]).toMatch(/queue_size of queue 0.*\(virtio 1\.2, 4\.1\.4\.3/);
  });

  it('of a packed ring need be no power of two', () => {
    const rig = new VirtioRig({ device: new EchoDevice() });
    rig.start({ queueSize: 7, features: (offered) => offered & ~featureSet(ECHO_F_REFUSED) });
    for (let i = 0; i < 100; i++) expect(rig.queue(0).send([Uint8Array.of(i)], [1]).answer).toEqual(Uint8Array.of(i));
  });
});
