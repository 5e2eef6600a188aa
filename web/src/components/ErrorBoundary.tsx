import { Component, type ReactNode } from "react";
import { Failure } from "./States";

/** Keeps the fault of one page from taking the frame with it. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    return error ? <Failure error={error} retry={() => location.reload()} /> : this.props.children;
  }
}
