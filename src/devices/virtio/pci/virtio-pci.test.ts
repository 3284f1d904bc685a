import { describe, expect, it } from 'vitest';
import { featureSet, VirtioViolation } from '../device.js';
import { ECHO_F_REFUSED, EchoDevice } from '../testing/echo.js';
import { type RigOptions, type StartOptions, VirtioRig } from '../testing/index.js';
import * as S from '../transport.js';
import * as L from './layout.js';

const VERSION_1 = featureSet(32);
const features = (offered: bigint): bigint => offered & ~featureSet(ECHO_F_REFUSED, 34, 35);
const plain: StartOptions = { features };

function echoRig(options: Partial<RigOptions> = {}): { rig: VirtioRig; device: EchoDevice } {
  const device = new EchoDevice();
  return { rig: new VirtioRig({ device, ...options }), device };
}

describe('a virtio function', () => {
  it('says what it is, and where its structures are', () => {
    const { rig } = echoRig();
    expect(rig.configRead(0, 4)).toBe(0x107f_1af4);
    expect(rig.configRead(8, 4)).toBe(0xff00_0001);
    expect(rig.configRead(0x2c, 4)).toBe(0x107f_1af4);
    expect(rig.configRead(0x3d, 1)).toBe(1);
    const { common, isr, notify, config, multiplier, window, msix } = rig.structures;
    const base = 0xc000_0000;
    expect([common, isr, config, notify].map((gpa) => (gpa ?? 0) - base)).toEqual([0, 0x1000, 0x2000, 0x3000]);
    expect(multiplier).toBe(4);
    expect(window > 0 && msix > 0).toBe(true);
    expect(rig.fn.doorbells.slice(1, 3)).toEqual([
      { offset: 0x3004, size: 2, value: 1 },
      { offset: 0x3008, size: 2, value: 2 },
    ]);
  });

  it('is reached by the back door too', () => {
    const { rig } = echoRig();
    const { window } = rig.structures;
    const through = (offset: number, size: 1 | 2 | 4, value?: number): number => {
      rig.configWrite(window + 4, 1, 0);
      rig.configWrite(window + 8, 4, offset);
      rig.configWrite(window + 12, 4, size);
      if (value !== undefined) rig.configWrite(window + 16, size, value);
      return rig.configRead(window + 16, size);
    };
    expect(through(L.DEVICE_STATUS, 1, S.ACKNOWLEDGE)).toBe(S.ACKNOWLEDGE);
    expect(rig.status).toBe(S.ACKNOWLEDGE);
    expect(through(L.NUM_QUEUES, 2)).toBe(3);
    expect(through(L.DEVICE_OFFSET + 4, 4, 0x0403_0201)).toBe(0x0403_0201);
    expect(rig.config(6, 2)).toBe(0x0403);
    expect(rig.warnings).toEqual([]);
  });

  it('has a back door that leads nowhere else', () => {
    const { rig } = echoRig({ strict: true });
    const { window } = rig.structures;
    const attempts: [number, number, number][] = [
      [1, 0, 4],
      [0, 2, 4],
      [0, 0, 3],
      [0, 0x4000, 1],
      [0, 0xffff_fffc, 4],
    ];
    for (const [bar, offset, length] of attempts) {
      rig.configWrite(window + 4, 1, bar);
      rig.configWrite(window + 8, 4, offset);
      rig.configWrite(window + 12, 4, length);
      rig.configWrite(window + 16, 4, 0xffff_ffff);
      rig.configRead(window + 16, 4);
      expect(rig.violations.splice(0).map(({ section }) => section)).toEqual(['4.1.4.9.2', '4.1.4.9.2']);
    }
    rig.configWrite(window + 12, 4, 0);
    rig.configRead(window + 16, 4); // as lspci does
    expect(rig.violations).toEqual([]);
  });

  it('interrupts by its pin where the driver does not use MSI-X, until ISR is read', () => {
    const { rig } = echoRig();
    rig.start({ ...plain, msix: false });
    rig.queue(0).send([], [4]);
    expect(rig.pin).toBe(true);
    expect([rig.isr(), rig.isr()]).toEqual([L.ISR_QUEUE, 0]);
    expect(rig.pin).toBe(false);
    expect(rig.pci.messages).toEqual([]);
  });

  it('sends each queue’s messages to its own vector, and none where none is mapped', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    rig.queue(2).send([], [4]);
    expect(rig.interrupts()).toEqual([2]);
    device.driver!.configChanged();
    expect(rig.interrupts()).toEqual([-1]);
    rig.setCommon(L.QUEUE_SELECT, 2);
    rig.setCommon(L.QUEUE_MSIX_VECTOR, 99);
    expect(rig.common(L.QUEUE_MSIX_VECTOR)).toBe(L.NO_VECTOR);
    rig.queue(2).send([], [4]);
    expect(rig.interrupts()).toEqual([]);
    expect(rig.pin).toBe(false);
  });

  it.each([false, true])('may be notified with the place in the ring (packed: %s)', (packed) => {
    const { rig } = echoRig({ notificationData: true, strict: true });
    rig.start({ features: (offered) => offered & ~featureSet(ECHO_F_REFUSED, 35, ...(packed ? [] : [34])) });
    expect(rig.accepted(38)).toBe(true);
    for (let i = 0; i < 100; i++) expect(rig.queue(2).send([Uint8Array.of(i)], [1]).answer).toEqual(Uint8Array.of(i));
    expect(rig.violations).toEqual([]);
    rig.pci.write(rig.structures.notify + 8, 2, 2);
    expect(rig.violations.map(({ section }) => section)).toEqual(['4.1.5.2']);
  });

  it('touches no memory while it may not master the bus, and catches up when it may', () => {
    const { rig } = echoRig();
    rig.start(plain);
    rig.configWrite(4, 2, 2);
    const buffer = rig.queue(0).send([Uint8Array.of(7)], [1]);
    expect(buffer.written).toBeUndefined();
    rig.configWrite(4, 2, 6);
    rig.queue(0).collect();
    expect(Array.from(buffer.answer)).toEqual([7]);
  });
});

describe('negotiation', () => {
  it('offers what the device and the transport can', () => {
    const { rig } = echoRig();
    expect(rig.offered).toBe(featureSet(1, ECHO_F_REFUSED, 28, 29, 32, 34, 35, 40));
    rig.setCommon(L.DEVICE_FEATURE_SELECT, 2);
    expect(rig.common(L.DEVICE_FEATURE)).toBe(0);
  });

  it.each([
    ['without VERSION_1', 0n],
    ['that was not offered', VERSION_1 | featureSet(7)],
    ['that the device does not work with', VERSION_1 | featureSet(ECHO_F_REFUSED)],
  ])('refuses a set of features %s by leaving FEATURES_OK clear', (_what, accepted) => {
    const { rig } = echoRig();
    expect(rig.negotiate({ features: () => accepted })).toBe(false);
    expect(rig.status).toBe(S.ACKNOWLEDGE | S.DRIVER);
    rig.accept(VERSION_1);
    rig.status |= S.FEATURES_OK;
    expect(rig.status & S.FEATURES_OK).toBe(S.FEATURES_OK);
  });

  it('is over with FEATURES_OK', () => {
    const { rig } = echoRig();
    rig.negotiate(plain);
    rig.accept(0n);
    expect(rig.accepted(32)).toBe(true);
    expect(rig.warnings[0]).toBe(
      'virtio-echo: the driver accepted features after FEATURES_OK (virtio 1.2, 3.1.1). This was ignored.',
    );
  });

  it('starts the device only after FEATURES_OK, and once', () => {
    const { rig, device } = echoRig();
    rig.status = S.ACKNOWLEDGE | S.DRIVER;
    rig.status |= S.DRIVER_OK;
    expect([rig.status, device.events]).toEqual([S.ACKNOWLEDGE | S.DRIVER, []]);
    rig.start(plain);
    rig.status |= S.DRIVER_OK;
    expect(device.events).toEqual(['reset', 'start']);
  });

  it('does not start a device that has been given up', () => {
    const { rig, device } = echoRig();
    rig.negotiate(plain);
    rig.status |= S.FAILED;
    rig.status |= S.DRIVER_OK;
    expect(device.events).not.toContain('start');
  });

  it('keeps what was notified before DRIVER_OK for afterwards', () => {
    const { rig } = echoRig();
    rig.negotiate(plain);
    const queue = rig.layQueue(0);
    const buffer = queue.send([Uint8Array.of(9)], [1]);
    expect(buffer.written).toBeUndefined();
    rig.status |= S.DRIVER_OK;
    queue.collect();
    expect(Array.from(buffer.answer)).toEqual([9]);
  });

  it('also when a snapshot is taken in between', () => {
    const { rig } = echoRig();
    rig.negotiate(plain);
    const queue = rig.layQueue(0);
    const buffer = queue.send([Uint8Array.of(9)], [1]);
    rig.pci.bus.restore(JSON.parse(JSON.stringify(rig.pci.bus.save())));
    rig.pci.bus.resume();
    rig.status |= S.DRIVER_OK;
    queue.collect();
    expect(Array.from(buffer.answer)).toEqual([9]);
  });

  it('begins anew after a reset', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    rig.queue(0).send([], [4]);
    rig.reset();
    expect([rig.status, rig.accepted(32), rig.isr(), device.events.at(-1)]).toEqual([0, false, 0, 'reset']);
    for (const queue of [0, 1, 2]) {
      rig.setCommon(L.QUEUE_SELECT, queue);
      const registers = [L.QUEUE_SIZE, L.QUEUE_ENABLE, L.QUEUE_MSIX_VECTOR, L.QUEUE_DESC, L.QUEUE_NOTIFY_OFF];
      expect(registers.map((register) => rig.common(register))).toEqual([
        [64, 256, 8][queue],
        0,
        L.NO_VECTOR,
        0,
        queue,
      ]);
    }
    rig.start(plain);
    expect(rig.queue(0).send([Uint8Array.of(1)], [1]).written).toBe(1);
  });
});

describe('queue registers', () => {
  it('of a queue that is not there read 0 and swallow what is written', () => {
    const { rig } = echoRig();
    rig.negotiate(plain);
    rig.setCommon(L.QUEUE_SELECT, 3);
    for (const register of [L.QUEUE_SIZE, L.QUEUE_DESC, L.QUEUE_ENABLE]) {
      rig.setCommon(register, 1);
      expect(rig.common(register)).toBe(0);
    }
    expect(rig.needsReset).toBe(false);
  });

  it('keep addresses of 64 bits', () => {
    const { rig } = echoRig();
    rig.setCommon(L.QUEUE_SELECT, 1);
    rig.setCommon(L.QUEUE_DRIVER, 0x8765_4321);
    rig.setCommon(L.QUEUE_DRIVER + 4, 0xffff_ffff);
    rig.setCommon(L.QUEUE_DRIVER + 4, 0xfedc_ba98);
    expect([rig.common(L.QUEUE_DRIVER), rig.common(L.QUEUE_DRIVER + 4)]).toEqual([0x8765_4321, 0xfedc_ba98]);
  });

  it('do not change once the queue is enabled', () => {
    const { rig } = echoRig();
    rig.start(plain);
    rig.setCommon(L.QUEUE_SELECT, 0);
    rig.setCommon(L.QUEUE_SIZE, 2);
    rig.setCommon(L.QUEUE_DESC, 0);
    rig.setCommon(L.QUEUE_ENABLE, 0);
    expect([rig.common(L.QUEUE_SIZE), rig.common(L.QUEUE_ENABLE)]).toEqual([64, 1]);
    expect(rig.queue(0).send([Uint8Array.of(1)], [1]).written).toBe(1);
    expect(rig.warnings).toHaveLength(3);
  });

  it('reset one queue alone', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    rig.queue(1).send([Uint8Array.of(1)], [1]);
    const [stale] = device.waiting;
    rig.setCommon(L.QUEUE_SELECT, 1);
    rig.setCommon(L.QUEUE_RESET, 1);
    expect([L.QUEUE_RESET, L.QUEUE_ENABLE, L.QUEUE_SIZE].map((register) => rig.common(register))).toEqual([0, 0, 256]);
    expect(device.events.at(-1)).toBe('reset queue 1');
    device.driver!.queue(1).push(stale, 1);
    const again = rig.layQueue(1, 32).send([Uint8Array.of(5)], [1]);
    device.finish();
    rig.queue(1).collect();
    expect(Array.from(again.answer)).toEqual([5]);
    expect(rig.queue(0).send([Uint8Array.of(1)], [1]).written).toBe(1);
    expect(rig.warnings).toEqual([]);
  });
});

describe('the configuration', () => {
  it('is read and written in all widths', () => {
    const { rig } = echoRig();
    rig.setConfig(0, 4, 0x4433_2211);
    rig.setConfig(5, 1, 0x66);
    expect([rig.config(0, 4), rig.config(1, 2), rig.config(5, 1)]).toEqual([0x4433_2211, 0x3322, 0x66]);
  });

  it('ends where it ends', () => {
    const { rig, device } = echoRig();
    device.bytes.fill(0x77);
    expect([rig.config(8, 4), rig.config(12, 4)]).toEqual([0x7777, 0]);
    rig.setConfig(8, 4, 0);
    expect(device.bytes[8]).toBe(0x77);
  });

  it('has a new generation whenever a reader may have mixed old and new', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    const first = rig.common(L.CONFIG_GENERATION);
    rig.config(0, 1);
    expect(rig.common(L.CONFIG_GENERATION)).toBe(first);
    for (let i = 0; i < 256; i++) device.driver!.configChanged();
    rig.config(4, 1);
    expect(rig.common(L.CONFIG_GENERATION)).not.toBe(first);
  });
});

describe('a driver that breaks the standard', () => {
  const violate = (rig: VirtioRig): void => {
    rig.queue(0).offer(64);
    rig.queue(0).kick();
  };

  it('has its device in need of a reset, is told so, and can go on after one', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    rig.interrupts();
    violate(rig);
    expect(rig.warnings).toEqual([
      'virtio-echo: the available ring names descriptor 64 of a queue of 64 entries (virtio 1.2, 2.7.6). The device needs a reset.',
    ]);
    expect([rig.needsReset, rig.interrupts(), device.events.at(-1)]).toEqual([true, [-1], 'reset']);
    const dead = rig.queue(0).send([Uint8Array.of(1)], [1]);
    expect([dead.written, device.events.at(-1), rig.warnings.length]).toEqual([undefined, 'reset', 1]);
    rig.start(plain);
    expect(rig.needsReset).toBe(false);
    expect(rig.queue(0).send([Uint8Array.of(1)], [1]).written).toBe(1);
  });

  it('ends a strict machine, with its name and what it did', () => {
    const { rig } = echoRig({ strict: true });
    rig.start(plain);
    violate(rig);
    expect(rig.violations).toEqual([
      new VirtioViolation('the available ring names descriptor 64 of a queue of 64 entries', '2.7.6'),
    ]);
    expect(rig.warnings).toEqual([]);
  });

  it('is found out while a request completes, too', () => {
    const { rig, device } = echoRig();
    rig.start(plain);
    device.driver!.violation(new VirtioViolation('something happened', '2.7'));
    expect([rig.needsReset, device.driver]).toEqual([true, undefined]);
  });

  it('fills no log', () => {
    const { rig } = echoRig();
    for (let i = 0; i < 100; i++) {
      rig.setCommon(L.QUEUE_SELECT, i);
      rig.setCommon(L.QUEUE_ENABLE, 2);
    }
    expect(rig.warnings).toHaveLength(16);
  });

  const remarks: [string, string, (rig: VirtioRig) => void][] = [
    ['clears a status bit', '2.1.1', (rig) => (rig.status = S.ACKNOWLEDGE)],
    ['sets a status bit that is the device’s', '2.1', (rig) => (rig.status |= S.DEVICE_NEEDS_RESET)],
    ['writes to a read-only register', '4.1.4.3.2', (rig) => rig.setCommon(L.NUM_QUEUES, 9)],
    ['writes 0 to queue_enable', '4.1.4.3.2', (rig) => rig.setCommon(L.QUEUE_ENABLE, 0)],
    ['accesses half a register', '4.1.3.1', (rig) => rig.pci.write(rig.structures.common + L.QUEUE_SIZE, 1, 4)],
    ['reads half a register', '4.1.3.1', (rig) => rig.pci.read(rig.structures.common + L.DEVICE_FEATURE + 2, 2)],
    ['reads where nothing is', '4.1.4', (rig) => rig.pci.read(rig.structures.common + 0x800, 4)],
    ['writes to ISR', '4.1.4', (rig) => rig.pci.write(rig.structures.isr, 1, 0)],
    ['notifies a queue that is not there', '4.1.4.4', (rig) => rig.pci.write(rig.structures.notify + 12, 2, 3)],
    ['notifies with another queue’s number', '4.1.5.2', (rig) => rig.pci.write(rig.structures.notify, 4, 1)],
    ['reads beyond the configuration', '2.5', (rig) => rig.config(10, 1)],
    ['writes beyond the configuration', '2.5', (rig) => rig.setConfig(9, 2, 0)],
    [
      'resets a queue that is not enabled',
      '2.6.1',
      (rig) => {
        rig.setCommon(L.QUEUE_SELECT, 9);
        rig.setCommon(L.QUEUE_RESET, 1);
      },
    ],
    [
      'sets strange flags in the available ring',
      '2.7.7.1',
      (rig) => {
        rig.memory.view(rig.queue(0).areas[1], 2).fill(1);
        rig.queue(0).send([], [1]);
      },
    ],
  ];

  it.each(remarks)('that %s gets no further, and is named by a strict machine (%s)', (_what, section, act) => {
    const strict = echoRig({ strict: true });
    strict.rig.start(plain);
    expect(strict.rig.violations).toEqual([]);
    act(strict.rig);
    expect(strict.rig.violations.map((violation) => violation.section)).toEqual([section]);
    const { rig } = echoRig();
    rig.start(plain);
    const before = rig.fn.transport.status;
    act(rig);
    expect(rig.fn.transport.status).toBe(before);
    const buffer = rig.queue(2).send([Uint8Array.of(3)], [1]);
    expect(buffer.written).toBe(1);
  });
});
