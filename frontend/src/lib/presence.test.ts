import { afterEach, expect, it, vi } from 'vitest';
import { watchPresence } from './presence';

afterEach(() => vi.useRealTimers());

function watched() {
  vi.useFakeTimers();
  const touch = vi.fn();
  const stop = watchPresence(touch);
  return { touch, stop };
}

it('tells what a person does, once in ten seconds', () => {
  const { touch, stop } = watched();
  for (const sign of ['keydown', 'pointerdown', 'wheel', 'click']) document.body.dispatchEvent(new Event(sign, { bubbles: true }));
  expect(touch).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(9_999);
  document.body.dispatchEvent(new Event('keydown', { bubbles: true }));
  expect(touch).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  document.body.dispatchEvent(new Event('scroll'));
  expect(touch).toHaveBeenCalledTimes(2);
  stop();
  vi.advanceTimersByTime(60_000);
  document.body.dispatchEvent(new Event('keydown', { bubbles: true }));
  expect(touch).toHaveBeenCalledTimes(2);
});

it('takes a pointer that lies still for nobody', () => {
  const { touch, stop } = watched();
  document.body.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, movementX: 0, movementY: 0 }));
  expect(touch).not.toHaveBeenCalled();
  document.body.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, movementX: 0, movementY: 2 }));
  expect(touch).toHaveBeenCalledTimes(1);
  stop();
});

it('goes on where the clock was put back', () => {
  const { touch, stop } = watched();
  document.body.dispatchEvent(new Event('keydown', { bubbles: true }));
  vi.setSystemTime(Date.now() - 3_600_000);
  document.body.dispatchEvent(new Event('keydown', { bubbles: true }));
  expect(touch).toHaveBeenCalledTimes(2);
  stop();
});
