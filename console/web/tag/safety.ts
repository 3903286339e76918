// The tag is a guest in the page: whatever fails here is a warning in the console, never an
// exception that the page's own error handling sees.

export function warn(...what: unknown[]): void {
  console.warn('dwell:', ...what);
}

/** guard returns a function that never throws; it warns and returns undefined instead. */
export function guard<A extends unknown[], R>(f: (...a: A) => R): (...a: A) => R | undefined {
  return (...a) => {
    try {
      return f(...a);
    } catch (e) {
      return void warn(e);
    }
  };
}

/** on listens without ever delaying or breaking the page: passive, in the capture phase, guarded. */
export function on(target: EventTarget, types: string, f: (e: Event) => void): void {
  for (const type of types.split(' ')) target.addEventListener(type, guard(f), { capture: true, passive: true });
}

/** after is setTimeout with a guard; ms beyond what a timer holds are cut. */
export function after(ms: number, f: () => void): number {
  return window.setTimeout(guard(f), Math.min(ms, 2e9));
}

/** backoff is a delay in ms with full jitter: anything between 0 and first·2^attempt, at most 30 s. */
export function backoff(attempt: number, first: number): number {
  return Math.random() * Math.min(3e4, first * 2 ** attempt);
}

/** visible says whether the user can see the tab. */
export function visible(): boolean {
  return document.visibilityState === 'visible';
}
