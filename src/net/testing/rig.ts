/** A user network between a guest and an outside that tests hold in their hands. */
import { UserStack } from '../stack.js';
import { TestLink } from './link.js';
import { TestOutside } from './outside.js';

export function setUp(hostLoopback = false) {
  const link = new TestLink();
  const outside = new TestOutside();
  const stack = new UserStack({ link, outside, hostLoopback });
  const send = (...packets: Uint8Array[]) => {
    for (const packet of packets) stack.receive(packet);
    stack.service();
  };
  const advance = (ms: number) => {
    outside.time += ms;
    stack.onTimer();
    stack.service();
  };
  return { link, outside, stack, send, advance };
}
