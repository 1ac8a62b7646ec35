"""The operator under many models at once, on a real control plane with kwok's nodes."""
