let press: Promise<void> | undefined;

addEventListener(
  'pointerdown',
  () => {
    press = new Promise((resolve) => {
      // The click comes after the release, and is to find its button where it was pressed.
      const end = () =>
        setTimeout(() => {
          press = undefined;
          resolve();
        });
      addEventListener('pointerup', end, { once: true });
      addEventListener('pointercancel', end, { once: true });
    });
  },
  true,
);

/** Waits while a pointer is pressed: what is shown in the middle of a press could move the pressed button away, and the click would be lost. */
export const released = (): Promise<void> => press ?? Promise.resolve();
