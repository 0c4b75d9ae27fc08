// The tools of image answers.

// Called for each card that comes up; returns what takes its listeners away again.
export function attach(card) {
  return () => {};
}
