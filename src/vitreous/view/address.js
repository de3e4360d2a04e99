// What an address says behind its #: a part of the page, and the state that a viewer had.

const PLACES = ["http:", "https:", "file:"];

// "#viewer:2?layer=3" as { id: "viewer:2", state: { layer: "3" } }
export function addressed() {
  const [id, query = ""] = location.hash.slice(1).split("?");
  return { id: decoded(id), state: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Writes a viewer's state into the address, without a step back; a frame's address is nobody's.
export function remember(id, state) {
  if (window.parent !== window || !PLACES.includes(location.protocol)) return;
  history.replaceState(null, "", `#${id}?${new URLSearchParams(state)}`);
}
