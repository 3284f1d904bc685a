/** The console device's half on the host: hvc0 on a port that also a UART could have. */
import { type ConsoleSize, VirtioConsole } from '../../../devices/virtio/console/index.js';
import type { SerialPort } from '../serial.js';
import type { DeviceParts, Peripheral } from './peripheral.js';

/** What hvc0 is connected to. */
export interface ConsoleEnd {
  readonly port: SerialPort;
  /** The window's size, where there is a window. */
  readonly size?: () => ConsoleSize | undefined;
}

export class ConsolePeripheral implements Peripheral {
  readonly name = 'console';
  private readonly end: ConsoleEnd;
  private device: VirtioConsole | undefined;

  constructor(end: ConsoleEnd) {
    this.end = end;
  }

  async open(): Promise<void> {}

  createDevice({ clock }: DeviceParts): VirtioConsole {
    const { port } = this.end;
    const size = this.end.size?.();
    const device = new VirtioConsole({
      clock,
      ports: [
        {
          backend: {
            // A slow reader makes the machine wait (`flush`), so there is always room.
            transmit: (bytes) => {
              for (const byte of bytes) port.transmit(byte);
              return bytes.length;
            },
            roomForInput: () => port.roomForInput(),
          },
        },
      ],
      ...(size && { size }),
    });
    this.device = device;
    port.connect({ receive: (bytes) => device.receive(0, bytes) });
    return device;
  }

  /** The window's size has changed. */
  resized(): void {
    const size = this.end.size?.();
    if (size !== undefined) this.device?.setSize(size);
  }

  async close(): Promise<void> {}
}
