// est is the newest server time (Unix ms), ect the page's clock when it came; both 0 until a server answered.
let est = 0;
let ect = 0;

/** now is the page's monotonic clock in whole ms, the ct of a frame. */
export function now(): number {
  return Math.floor(performance.now());
}

/** hear takes a server's time; anything but a positive number is ignored. */
export function hear(t: unknown): void {
  if (typeof t === 'number' && t > 0) {
    est = t;
    ect = now();
  }
}

export function heard(): { est: number; ect: number } {
  return { est, ect };
}

/** serverNow is the server's Unix ms as far as the page knows; before any answer the device's own. */
export function serverNow(): number {
  return est ? est + now() - ect : Date.now();
}
