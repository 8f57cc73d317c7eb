"""Values of mutual information: reference densities, and their choice by held-out evidence."""
