// What the rationale points at: a list that lives in the form's hidden field, so that drafts, the
// outbox and a refused form carry it like any other field. Places are those of the screen, a and b.

export const CHANGED = "evidence:change";

const field = (form) => form.elements.namedItem("evidence");

export function readEvidence(form) {
  try {
    return JSON.parse(field(form)?.value || "[]");
  } catch {
    return [];
  }
}

export function writeEvidence(form, items) {
  field(form).value = JSON.stringify(items);
  field(form).dispatchEvent(new Event("input", { bubbles: true }));
  field(form).dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
}

export function addEvidence(form, item) {
  writeEvidence(form, [...readEvidence(form), item]);
}

export function removeEvidence(form, index) {
  writeEvidence(form, readEvidence(form).filter((_, at) => at !== index));
}
